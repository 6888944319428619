"""What docs/forms.md shows can be sent, and its answers are those that there are."""

import json
import re
from pathlib import Path

from privacy.forms import contract, problems
from streams import policy
from streams.collector.openapi import document

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/forms.md").read_text()
POLICY = policy.load(ROOT / "deploy/policy/reference.toml")


def test_the_form_that_is_shown_is_taken() -> None:
    ((service, body),) = re.findall(r"POST /v1/forms/(\S+)\n.*?\n\n(.*?)```", TEXT, re.DOTALL)
    assert not problems(POLICY.services[service], json.loads(body))


def test_the_fields_of_a_form_are_those_that_there_are() -> None:
    table = TEXT.partition("| field | what |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    known = {name for each in POLICY.services.values() for name in contract(each).fields}
    assert named == known


def test_the_answers_that_are_shown_are_given() -> None:
    answers = document(1, POLICY.services)["paths"]["/v1/forms/newsletter"]["post"]["responses"]
    table = TEXT.partition("| answer |")[2].partition("\n\n")[0]
    assert set(re.findall(r"\b[2-5]\d\d\b", table)) <= answers.keys()
