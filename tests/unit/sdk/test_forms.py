"""How a site sends a form (S1), against a server that stands in for the collector."""

from typing import Any

import pytest

from lethe.forms import FormFailedError, FormRefusedError, submit_form

FIELDS = {"last_name": "Canary", "email": "canary@example.com", "age": 7, "agreed": True}


def test_s1_a_form_is_sent_and_its_case_returned(server: Any) -> None:
    case_id = submit_form(
        server.url + "/", "shop-key", "survey", FIELDS,
        idempotency_key="form-0001", group="spring", language="nl",
        further_processing={"notice_id": "research", "notice_version": "2"},
    )  # fmt: skip
    assert case_id == "c-1"
    assert server.asked == [
        (
            "/v1/forms/survey",
            "shop-key",
            {
                "fields": FIELDS,
                "idempotency_key": "form-0001",
                "group": "spring",
                "language": "nl",
                "further_processing": {"notice_id": "research", "notice_version": "2"},
            },
        )
    ]


def test_what_is_not_given_is_not_sent_and_a_key_is_made(server: Any) -> None:
    for number in range(2):
        submit_form(server.url, "k", "sample", FIELDS, ids=lambda n=number: f"made-{n}")
    contents = [content for _, _, content in server.asked]
    assert contents == [{"fields": FIELDS, "idempotency_key": f"made-{each}"} for each in range(2)]


def test_a_service_cannot_lead_elsewhere(server: Any) -> None:
    submit_form(server.url, "k", "../consent?x=", FIELDS)
    assert server.asked[0][0] == "/v1/forms/..%2Fconsent%3Fx%3D"


def test_s1_a_refused_form_names_fields_and_rules(server: Any) -> None:
    problems = [{"index": None, "field": "email", "rule": "is missing"}]
    server.answer = 422, {"error": "correct it", "problems": problems}
    with pytest.raises(FormRefusedError) as refused:
        submit_form(server.url, "k", "sample", FIELDS)
    assert str(refused.value) == "email is missing"
    assert [(each.field, each.rule) for each in refused.value.problems] == [("email", "is missing")]
    assert "canary" not in repr(refused.value).lower()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 415])
@pytest.mark.parametrize("answer", [{"error": "no"}, b"<html>no</html>", {"problems": [1, {}]}])
def test_what_is_refused_for_good_is_said_so(server: Any, status: int, answer: Any) -> None:
    server.answer = status, answer
    with pytest.raises(FormRefusedError) as refused:
        submit_form(server.url, "k", "sample", FIELDS)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("status", "answer"),
    [(503, {}), (500, b""), (429, {}), (408, {}), (200, {}), (202, {}), (202, b"x"), (307, {})],
)
def test_what_nobody_confirmed_is_to_be_sent_again_under_its_key(
    server: Any, status: int, answer: Any
) -> None:
    server.answer = status, answer
    with pytest.raises(FormFailedError) as failed:
        submit_form(server.url, "k", "sample", FIELDS, ids=lambda: "made-0001")
    assert failed.value.idempotency_key == "made-0001"
    assert "canary" not in repr(failed.value).lower()
    assert len(server.asked) == 1, "no redirect is followed"


def test_a_server_that_is_away_fails() -> None:
    with pytest.raises(FormFailedError, match="ConnectionRefusedError"):
        submit_form("http://127.0.0.1:1", "k", "sample", FIELDS)


@pytest.mark.parametrize("url", ["http://collect.example", "ftp://127.0.0.1", "collect.example"])
def test_forms_go_over_tls_or_stay_on_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        submit_form(url, "k", "sample", FIELDS)
