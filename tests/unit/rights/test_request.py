"""What may be asked: refused by field and never by value, kept as it was meant."""

from typing import Any

import pytest

from privacy.policy import Policy
from privacy.rights.request import (
    GROUNDS,
    Ground,
    Right,
    contract,
    enter,
    from_json,
    problems,
    to_json,
)


def _broken(policy: Policy, body: object) -> set[str]:
    return {each.field for each in problems(policy, body)}


@pytest.mark.parametrize("right", list(Right))
def test_a_right_needs_one_of_its_grounds_or_none(
    policy: Policy, body: dict[str, Any], right: Right
) -> None:
    body["right"] = right.value
    if right == Right.RECTIFICATION:
        body["statement"] = "It was the other way round."
    fitting = set(GROUNDS.get(right, ()))
    assert ("ground" in _broken(policy, body)) == bool(fitting)
    for ground in Ground:
        asked = {**body, "ground": ground.value}
        assert ("ground" in _broken(policy, asked)) == (ground not in fitting)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"right": "fame"}, "right"),
        ({"email": "no address"}, "email"),
        ({"email": None, "cookie_id": None}, "email"),
        ({"language": "tlh"}, "language"),
        ({"service": "samples"}, "service"),
        ({"right": "portability", "service": "none-such"}, "service"),
        ({"right": "portability", "service": "samples", "email": None}, "email"),
        ({"right": "portability", "transfer_to": "stranger"}, "transfer_to"),
        ({"right": "withdrawal", "purposes": []}, "purposes"),
        ({"right": "withdrawal", "purposes": ["ads", "ads"]}, "purposes"),
        ({"right": "withdrawal", "purposes": ["restriction"]}, "purposes"),
        ({"right": "withdrawal", "purposes": ["ads"], "cookie_id": None}, "cookie_id"),
        ({"right": "rectification"}, "corrections"),
        ({"right": "rectification", "corrections": {}}, "corrections"),
        ({"right": "rectification", "corrections": {"secret": "x"}}, "corrections"),
        ({"right": "rectification", "corrections": {"name": "x" * 5_001}}, "corrections"),
        ({"right": "rectification", "corrections": {"name": 7}}, "corrections"),
        ({"right": "rectification", "corrections": {"name": "x"}, "email": None}, "email"),
        (
            {"right": "rectification", "corrections": {"interests": "wine"}, "cookie_id": None},
            "cookie_id",
        ),
        ({"right": "rectification", "statement": "x" * 5_001}, "statement"),
        ({"subject": "x"}, "subject"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(
    policy: Policy, body: dict[str, Any], changed: dict[str, Any], field: str
) -> None:
    assert not _broken(policy, body)
    assert _broken(policy, body | changed) == {field}


def test_no_value_is_told(policy: Policy, body: dict[str, Any]) -> None:
    marked = dict.fromkeys(contract(policy).fields, "marked\x00value")
    told = [each.rule + each.field for each in problems(policy, body | marked)]
    assert told
    assert not any("marked" in each for each in told)


def test_what_is_no_object_is_refused(policy: Policy) -> None:
    assert _broken(policy, ["access"]) == {"request"}


def test_what_is_asked_survives_sealing(policy: Policy, body: dict[str, Any]) -> None:
    body |= {"right": "erasure", "ground": "child", "email": " anne@example.com ", "language": "nl"}
    assert not _broken(policy, body)
    asked = enter(body, site="shop.example", answer="token")
    assert asked.email == "anne@example.com"
    assert (asked.site, asked.ground, asked.language) == ("shop.example", Ground.CHILD, "nl")
    assert from_json(to_json(asked)) == asked
    assert "anne" not in repr(asked)
    assert "token" not in repr(asked)


def test_an_address_alone_is_of_no_site(body: dict[str, Any]) -> None:
    del body["cookie_id"]
    assert enter(body, site="shop.example", answer="token").site is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"right": "fame"}'])
def test_what_nobody_asked_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="not what a request asks"):
        from_json(text)
