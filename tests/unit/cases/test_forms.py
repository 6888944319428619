from typing import Any

import pytest

from privacy.forms import contract, enter, problems
from privacy.policy import Service

Body = dict[str, Any]


def broken(service: Service, body: object) -> list[tuple[str, str]]:
    return [(each.field, each.rule) for each in problems(service, body)]


def named(service: Service, body: object) -> set[str]:
    return {field for field, _ in broken(service, body)}


def test_s1_a_form_with_its_mandatory_fields_may_enter(sample: Service, body: Body) -> None:
    assert broken(sample, body) == []


@pytest.mark.parametrize("empty", [{}, {"email": None}, {"email": ""}, {"email": " \r\n"}])
def test_s1_a_form_that_lacks_a_mandatory_field_is_refused_by_its_name(
    sample: Service, empty: Body
) -> None:
    assert broken(sample, {"fields": {"name": "Eva Smit", **empty}}) == [("email", "is missing")]


def test_s1_every_missing_field_is_named(sample: Service) -> None:
    assert named(sample, {"fields": {}}) == {"name", "email"}
    assert named(sample, {}) == {"fields"}


@pytest.mark.parametrize("body", [None, [], "text", {"fields": []}, {"fields": "x"}])
def test_what_is_no_form_is_refused(sample: Service, body: object) -> None:
    assert ("must be an object") in [rule for _, rule in broken(sample, body)]


def test_s1_a_field_that_the_policy_does_not_name_is_refused_by_name(
    sample: Service, body: Body
) -> None:
    body["fields"]["birthday"] = "1990-01-01"
    ((field, rule),) = broken(sample, body)
    assert field == "birthday"
    assert "name, email, phone" in rule
    assert "1990" not in rule


def test_a_name_that_may_be_a_value_is_not_told(sample: Service, body: Body) -> None:
    body["fields"]["eva.smit@example.com"] = "x"
    assert named(sample, body) == {"(a field)"}


@pytest.mark.parametrize("name", ["attachment", "attachments", "file", "Files", "upload_cv"])
def test_a_file_is_refused_as_such_wherever_it_is(sample: Service, body: Body, name: str) -> None:
    inside = {"fields": body["fields"] | {name: {"name": "cv.pdf", "content": "aGVsbG8="}}}
    for each in (inside, body | {name: ["aGVsbG8="]}):
        assert broken(sample, each) == [(name, "is refused: forms take no files")]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", ["Eva", "Zoë", "李", "x" * 200]),
        ("email", ["e@example.com", "eva+x.y@sub.example.com", "zoë@exämple.example"]),
        ("phone", ["+31 20 555 01 23", "(020) 555-0123", "0205550123"]),
        ("message", ["a\nb\tc", "a\r\nb", "x" * 5_000]),
        ("country", ["NL", "LU"]),
        ("size", ["small", "large"]),
        ("visit_on", ["2028-02-29"]),
        ("urgent", [True, False]),
        ("amount", [0, 12, -1.5, 2**53]),
    ],
)
def test_a_value_that_fits_its_kind_may_enter(
    sample: Service, body: Body, field: str, values: list[object]
) -> None:
    for value in values:
        body["fields"][field] = value
        assert broken(sample, body) == []


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", [1, True, {}, ["Eva"], "x" * 201, "a\nb", "a\x00b", "a\x85b", "a\ud800b"]),
        (
            "email",
            [
                "eva",
                "eva@",
                "@example.com",
                "eva@example",
                "eva@-a.example",
                "eva@example.com, max@example.com",
                "eva@example.com\nBcc: max@example.com",
                "Eva <eva@example.com>",
                "eva smit@example.com",
                "bcc:max@example.com",
                f"{'x' * 65}@example.com",
                f"x@{'x' * 64}.example",
                f"x@{'x.' * 130}example",
            ],
        ),
        ("phone", ["abc", "12", "+", "0" * 33, "020 555\n0123"]),
        ("message", ["x" * 5_001, "a\x00b", "a\x1bb"]),
        ("country", ["nl", "Nederland", "XX", "NL\n."]),
        ("size", ["medium", "SMALL", 1]),
        ("visit_on", ["2027-02-29", "29-02-2028", "2028-02-29T10:00", "20280229", 0]),
        ("urgent", ["true", 1, 0]),
        ("amount", ["12", True, float("nan"), float("inf"), 2**53 + 1, 10**400]),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(
    sample: Service, body: Body, field: str, values: list[object]
) -> None:
    for value in values:
        body["fields"][field] = value
        assert [name for name, _ in broken(sample, body)] == [field]


def test_no_rule_tells_the_value_that_broke_it(sample: Service, body: Body) -> None:
    for field in sample.fields:
        body["fields"][field] = "canary-7f3a\x00"
    found = broken(sample, body)
    assert {name for name, _ in found} == set(sample.fields)
    assert not any("canary" in rule for _, rule in found)


def test_a_group_belongs_to_services_that_have_one(
    sample: Service, survey: Service, body: Body
) -> None:
    assert named(sample, body | {"group": "spring"}) == {"group"}
    answer = {"fields": {"answer": "Good."}}
    assert broken(survey, answer) == [("group", "is missing")]
    assert broken(survey, answer | {"group": "spring-2026"}) == []
    assert named(survey, answer | {"group": "eva@example.com"}) == {"group"}


def test_s7_further_processing_needs_the_notice_it_was_consented_to_on(
    sample: Service, survey: Service, body: Body
) -> None:
    notice = {"notice_id": "research", "notice_version": "3"}
    answer = {"fields": {"answer": "Good."}, "group": "spring-2026"}
    assert broken(survey, answer | {"further_processing": notice}) == []
    assert named(survey, answer | {"further_processing": {"notice_id": "research"}}) == {
        "notice_version"
    }
    assert named(survey, answer | {"further_processing": True}) == {"further_processing"}
    assert named(sample, body | {"further_processing": notice}) == {"further_processing"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("idempotency_key", "short"),
        ("idempotency_key", "x" * 65),
        ("idempotency_key", "eva@example.com"),
        ("language", "Nederlands!"),
        ("user", "x"),
    ],
)
def test_the_rest_of_a_form_has_rules_too(
    sample: Service, body: Body, field: str, value: str
) -> None:
    assert named(sample, body | {field: value}) == {field}


def test_a_form_tells_what_is_to_be_sealed_from_what_is_not(sample: Service) -> None:
    fields = {
        "name": "  Zoe\u0308 Smit ",
        "email": "zoe@example.com",
        "phone": "",
        "message": "a\r\nb",
        "country": "NL",
        "urgent": True,
        "amount": 12,
        "size": None,
    }
    form = enter(sample, {"fields": fields, "language": "nl-BE", "idempotency_key": "0123abcd"})
    assert form.personal == {"name": "Zoë Smit", "email": "zoe@example.com", "message": "a\nb"}
    assert form.settings == {"country": "NL", "urgent": "true", "amount": "12"}
    assert form.email == "zoe@example.com"
    assert (form.group, form.language, form.idempotency_key) == (None, "nl-BE", "0123abcd")
    assert form.further is None


def test_s7_the_notice_goes_with_the_form(survey: Service) -> None:
    notice = {"notice_id": "research", "notice_version": "3"}
    answer = {"fields": {"answer": "Good."}, "group": "spring-2026", "further_processing": notice}
    form = enter(survey, answer)
    assert (form.group, form.further, form.email) == ("spring-2026", notice, None)


def test_what_was_filled_in_is_in_no_repr(sample: Service, body: Body) -> None:
    assert "Eva" not in repr(enter(sample, body))
    assert "example" not in repr(enter(sample, body))


def test_the_contract_is_shown_as_json_schema(survey: Service) -> None:
    schema = contract(survey).schema()
    assert schema["required"] == ["fields", "group"]
    fields = schema["properties"]["fields"]
    assert fields["required"] == ["answer"]
    assert fields["properties"]["answer"]["maxLength"] == 5_000
    assert fields["properties"]["answer"]["description"] == "Answer"
