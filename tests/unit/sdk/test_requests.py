"""How a site sends a person's request (S17 to S24), against a stand-in for the collector."""

from typing import Any

import pytest

from lethe import RequestFailedError, RequestRefusedError, submit_request

MAIL = "canary@example.com"


def test_s17_a_request_is_sent_and_its_id_returned(server: Any) -> None:
    asked = submit_request(
        server.url + "/", "shop-key", "rectification", email=MAIL, language="nl",
        service="sample-request", corrections={"last_name": "Canary"}, statement="It was misspelt.",
        idempotency_key="request-0001",
    )  # fmt: skip
    assert (asked.request_id, asked.answer) == ("r-1", None)
    assert server.asked == [
        (
            "/v1/requests",
            "shop-key",
            {
                "right": "rectification",
                "email": MAIL,
                "language": "nl",
                "service": "sample-request",
                "corrections": {"last_name": "Canary"},
                "statement": "It was misspelt.",
                "idempotency_key": "request-0001",
            },
        )
    ]


def test_s17_who_shows_a_cookie_learns_where_the_answer_will_be(server: Any) -> None:
    server.answer = 202, {"request_id": "r-1", "answer": "/v1/answers/canary"}
    asked = submit_request(server.url + "/", "k", "access", cookie_id="visitor-1")
    assert asked.answer == f"{server.url}/v1/answers/canary"
    assert "canary" not in repr(asked)


def test_s18_purposes_are_a_list(server: Any) -> None:
    submit_request(server.url, "k", "withdrawal", cookie_id="v", purposes=("ads",), ids=lambda: "m")
    ((_, _, content),) = server.asked
    assert content == {
        "right": "withdrawal", "cookie_id": "v", "purposes": ["ads"], "idempotency_key": "m",
    }  # fmt: skip


def test_a_refused_request_names_fields_and_rules(server: Any) -> None:
    problems = [{"index": None, "field": "ground", "rule": "is missing"}]
    server.answer = 422, {"error": "correct it", "problems": problems}
    with pytest.raises(RequestRefusedError, match=r"^ground is missing$") as refused:
        submit_request(server.url, "k", "erasure", email=MAIL)
    assert refused.value.status == 422
    assert "canary" not in repr(refused.value).lower()


def test_what_nobody_confirmed_is_to_be_sent_again_under_its_key(server: Any) -> None:
    server.answer = 503, {}
    with pytest.raises(RequestFailedError, match="did not confirm the request") as failed:
        submit_request(server.url, "k", "access", email=MAIL, ids=lambda: "made-0001")
    assert failed.value.idempotency_key == "made-0001"
    assert "canary" not in repr(failed.value).lower()
