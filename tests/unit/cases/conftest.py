"""Services of a policy, with forms of every kind of field."""

import tomllib
from typing import Any

import pytest

from privacy.policy import Service

SAMPLE = """
title = "Sample"
life_cycle = "sample"
departments = ["marketing"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["to send the sample"]
fields.name = { title = "Name", kind = "text", mandatory = true }
fields.email = { title = "E-mail", kind = "email", mandatory = true }
fields.phone = { title = "Phone", kind = "phone" }
fields.message = { title = "Message", kind = "long_text" }
fields.country = { title = "Country", kind = "country", personal = false }
fields.size = { title = "Size", kind = "choice", options = ["small", "large"], personal = false }
fields.visit_on = { title = "Visit on", kind = "date" }
fields.urgent = { title = "Urgent", kind = "boolean", personal = false }
fields.amount = { title = "Amount", kind = "number", personal = false }
"""
SURVEY = """
title = "Survey"
life_cycle = "survey"
group = "required"
departments = ["marketing"]
legal_basis = "Art. 6(1)(a) GDPR"
purposes = ["to know what people think"]
further_processing = "compare the answers of several years"
fields.answer = { title = "Answer", kind = "long_text", mandatory = true }
"""


@pytest.fixture
def sample() -> Service:
    return Service.model_validate(tomllib.loads(SAMPLE))


@pytest.fixture
def survey() -> Service:
    return Service.model_validate(tomllib.loads(SURVEY))


@pytest.fixture
def body() -> dict[str, Any]:
    return {"fields": {"name": "Eva Smit", "email": "eva.smit@example.com"}}
