from typing import Any

import pytest

from privacy import consent_request, tracking
from privacy.contract import Contract, Problem
from privacy.rules import Flag, Text, Whole

CONTRACT = Contract(
    "order",
    "orders",
    {"name": Text("Who.", 8), "number": Whole("How many.", 1, 9), "gift": Flag("A present.")},
    required=("name", "number"),
    refused={r"colou?r": "all are white"},
)
GOOD = {"name": "Ann", "number": 1}


@pytest.mark.parametrize(
    ("message", "problems"),
    [
        (GOOD, []),
        ({**GOOD, "gift": None}, []),
        ([GOOD], [Problem("order", "must be an object")]),
        ({}, [Problem("name", "is missing"), Problem("number", "is missing")]),
        ({**GOOD, "name": None}, [Problem("name", "is missing")]),
        (
            {"gift": 1, "number": 10, "name": "Ann"},
            [Problem("number", "must be from 1 to 9"), Problem("gift", "must be true or false")],
        ),
        ({**GOOD, "color": 1}, [Problem("color", "is refused: all are white")]),
        (
            {**GOOD, "colours": 1},
            [Problem("colours", "is not a field of orders; those are name, number, gift")],
        ),
        ({**GOOD, "an@mail.example": 1}, [Problem("(a field)", "is not a field of orders")]),
    ],
)
def test_problems_are_told_by_field_in_the_contract_s_order(
    message: object, problems: list[Problem]
) -> None:
    assert list(CONTRACT.problems(message)) == problems


def test_in_the_schema_all_but_what_is_required_may_be_null() -> None:
    schema = CONTRACT.schema()
    assert schema["required"] == ["name", "number"]
    assert schema["properties"]["number"] == {
        "type": "integer", "minimum": 1, "maximum": 9, "description": "How many.",
    }  # fmt: skip
    assert schema["properties"]["gift"] == {
        "anyOf": [{"type": "boolean"}, {"type": "null"}], "description": "A present.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("contract", "name"),
    [
        pytest.param(contract, name, id=f"{contract.one}-{name}")
        for contract in (tracking.CONTRACT, consent_request.CONTRACT)
        for name in contract.fields
    ],
)
@pytest.mark.parametrize("text", ["\0", "a\0", "a\0b"])
def test_no_field_takes_a_nul_which_postgresql_could_not_keep(
    contract: Contract, name: str, text: str
) -> None:
    values: list[Any] = [text, {"gclid": text}] if name == "ad_ids" else [text]
    for value in values:
        assert name in {problem.field for problem in contract.problems({name: value})}
