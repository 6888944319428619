"""A policy with one of everything that a plan looks at."""

import tomllib
from typing import Any

import pytest

from privacy.policy import Policy

FORM = """
[services.{name}]
title = "{title}"
life_cycle = "{life_cycle}"
departments = ["care"]
legal_basis = "{basis}"
purposes = ["to serve"]
{more}
[services.{name}.fields.email]
title = "E-mail"
kind = "email"
mandatory = true
[services.{name}.fields.name]
title = "Name"
kind = "text"
"""

KEPT = 'group = "required"\nfurther_processing = "research"'
POLICY = """
version = "test 1"
[controller]
name = "Example <Trading>"
contact = "privacy@www.example"
data_protection_officer = "officer@www.example"
[authority]
name = "Example Authority"
address = "1 Example Square"
complaint = "You may complain to the authority."
[departments.care]
title = "Care"
contact = "care@www.example"
[rights]
department = "care"
[rights.compelling]
reports = "Safety reports must be kept."
[rights.controllers.other]
title = "Another"
url = "https://other.example/copies"
[lists.news]
title = "News"
kind = "newsletter"
legal_basis = "Art. 6(1)(f) GDPR"
[lists.club]
title = "Club"
kind = "notification"
legal_basis = "Art. 6(1)(a) GDPR"
[purposes.analytics]
title = "Reading statistics"
covers = "analytics"
mode = "opt_out"
legal_basis = "Art. 6(1)(f) GDPR"
[purposes.ads]
title = "Ads"
covers = "ads"
mode = "opt_in"
legal_basis = "Art. 6(1)(a) GDPR"
[purposes.profile]
title = "Profile"
covers = "profile"
mode = "opt_in"
legal_basis = "Art. 6(1)(a) GDPR"
[providers.ga4]
purpose = "ads"
sites = ["shop.example"]
pages = true
third_country = "US"
safeguard = "standard contractual clauses"
[profiles]
purpose = "profile"
[profiles.interests.wine]
title = "Wine"
pages = ["/wine*"]
""" + "".join(
    FORM.format(name=name, title=title, life_cycle=cycle, basis=f"Art. {basis} GDPR", more=more)
    for name, title, cycle, basis, more in (
        ("samples", "Samples", "sample", "6(1)(b)", ""),
        ("contest", "Contest", "contest", "6(1)(a)", ""),
        ("questions", "Questions", "information", "6(1)(f)", ""),
        ("reports", "Reports", "information", "6(1)(f)", ""),
        ("news", "News", "subscription", "6(1)(f)", 'list = "news"'),
        ("club", "Club", "subscription", "6(1)(a)", 'list = "club"'),
        ("poll", "Poll", "survey", "6(1)(a)", KEPT),
    )
)  # fmt: skip
HOLDER = '[holders.crm]\ntitle = "The CRM"\nservices = ["samples"]\n'


@pytest.fixture(scope="session")
def policy() -> Policy:
    return Policy.model_validate(tomllib.loads(POLICY + HOLDER))


@pytest.fixture
def body() -> dict[str, Any]:
    """Return a request that may enter."""
    return {"right": "access", "email": "anne@example.com", "cookie_id": "cookie-0123456789abcdef"}
