"""What a person meets at ``/v1/requests``, and what is kept of it (S17 to S24)."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from privacy.links import answer_token
from privacy.rights.request import Asked, Right, from_json
from privacy.subjects import subject_id
from sinks.keys.intake import subject_key
from sinks.keys.keks import Keks
from sinks.keys.seal import unseal
from sinks.keys.vault import Vault
from sinks.ledger import tables

PATH = "/v1/requests"
SHOP = "https://shop.example"
MAIL = "Zoe.Canary@example.com"
COOKIE = "canary-visitor-1"
ACCESS = {"right": "access", "email": MAIL, "language": "nl", "idempotency_key": "request-0001"}
BY_COOKIE = {"right": "access", "cookie_id": COOKIE, "idempotency_key": "request-0001"}


def opened(entrance: Any, record: dict[str, Any], department: str = "marketing") -> Asked:
    request_id = record["request_id"]
    with entrance.ledger.reading() as connection:
        keys = Vault(Keks.under(entrance.secrets)).open(connection, [request_id], department)
    fields = {"asked": record["sealed"]}
    content = unseal(keys[request_id], fields, site=record["site"], case_id=request_id)
    return from_json(content["asked"])


async def test_s17_a_request_is_sealed_before_the_broker_has_it(entrance: Any) -> None:
    response = await entrance.send(ACCESS, path=PATH)
    assert response.status == 202
    (record,) = entrance.requests
    assert await response.json() == {"request_id": record["request_id"]}
    ((topic, message),) = entrance.publisher.stored
    assert (topic, message.key) == ("subject-requests", record["request_id"].encode())
    assert b"canary" not in message.value.lower()
    told = {name: record[name] for name in ("kind", "right", "site", "language", "has_visitor")}
    assert told == {
        "kind": "asked", "right": "access", "site": "shop.example", "language": "nl",
        "has_visitor": False,
    }  # fmt: skip
    assert record["subject"] == subject_id(subject_key(entrance.secrets), MAIL)
    asked = opened(entrance, record)
    assert opened(entrance, record, "rights") == asked
    assert (asked.right, asked.cookie_id) == (Right.ACCESS, None)
    assert asked.email is not None
    assert asked.email.lower() == MAIL.lower()


async def test_s17_who_shows_a_cookie_needs_no_mail_and_is_told_where_the_answer_is(
    entrance: Any,
) -> None:
    response = await entrance.send(BY_COOKIE, path=PATH)
    asked, confirmed = entrance.requests
    assert (asked["kind"], asked["has_visitor"], asked["subject"]) == ("asked", True, None)
    assert (confirmed["kind"], confirmed["by"]) == ("confirmed", "cookie")
    assert asked["request_id"] == confirmed["request_id"]
    content = opened(entrance, asked)
    assert (content.site, content.cookie_id) == ("shop.example", COOKIE)
    assert await response.json() == {
        "request_id": asked["request_id"],
        "answer": f"/v1/answers/{content.answer}",
    }


async def test_s17_who_gives_an_address_and_a_cookie_confirms_both_by_mail(entrance: Any) -> None:
    """Or whoever has a cookie would learn what is held of an address."""
    response = await entrance.send({**BY_COOKIE, "email": MAIL}, path=PATH)
    assert set(await response.json()) == {"request_id"}
    (asked,) = entrance.requests
    assert (asked["kind"], asked["has_visitor"]) == ("asked", True)


@pytest.mark.parametrize("body", [ACCESS, BY_COOKIE])
async def test_sent_again_it_is_the_same_request_with_the_same_answer(
    entrance: Any, body: dict[str, Any]
) -> None:
    first, again = [await entrance.send(body, path=PATH) for _ in range(2)]
    assert await first.json() == await again.json()
    records = [each for each in entrance.requests if each["kind"] == "asked"]
    assert opened(entrance, records[0]) == opened(entrance, records[1])
    assert records[0]["sealed"] != records[1]["sealed"], "each nonce is used once"


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"idempotency_key": "request-0002"}, "shop-key"),
        ({"idempotency_key": None}, "shop-key"),
        ({"cookie_id": "another-visitor"}, "shop-key"),
        ({"language": "de"}, "shop-key"),
        ({}, "blog-key"),
    ],
)
async def test_s17_whoever_guesses_a_key_has_another_request_and_no_other_answer(
    entrance: Any, more: dict[str, Any], key: str
) -> None:
    first = await entrance.send(BY_COOKIE, path=PATH)
    other = await entrance.send({**BY_COOKIE, **more}, path=PATH, key=key)
    one, another = [await each.json() for each in (first, other)]
    assert one["request_id"] != another["request_id"]
    assert one["answer"] != another["answer"]


async def test_the_answer_is_fetched_by_what_nobody_can_guess(entrance: Any) -> None:
    await entrance.send(BY_COOKIE, path=PATH)
    record = entrance.requests[0]
    request_id = record["request_id"]
    with entrance.ledger.reading() as connection:
        key = Vault(Keks.under(entrance.secrets)).open(connection, [request_id], "rights")
    assert opened(entrance, record).answer == answer_token(key[request_id], request_id)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"right": "secret", "email": MAIL}, "right"),
        ({"right": "access", "email": "secret value"}, "email"),
        ({"right": "erasure", "email": MAIL}, "ground"),
        ({"right": "erasure", "email": MAIL, "ground": "secret"}, "ground"),
        ({"right": "access", "email": MAIL, "shoe_size": "secret"}, "shoe_size"),
        ({"right": "access", "email": MAIL, "idempotency_key": "secret!"}, "idempotency_key"),
        ({"right": "access", "email": MAIL, "language": "secret"}, "language"),
        ({"right": "portability", "email": MAIL, "transfer_to": "secret"}, "transfer_to"),
        (["secret"], "request"),
        ("secret", "request"),
        ({}, "right"),
        ({"right": "access"}, "email"),
    ],
)
async def test_what_is_wrong_is_named_without_its_value(
    entrance: Any, body: object, field: str
) -> None:
    response = await entrance.send(body, path=PATH)
    text = await response.text()
    assert response.status == 422
    named = [problem["field"] for problem in json.loads(text)["problems"]]
    assert field in named
    assert "secret" not in text
    assert "canary" not in text.lower()
    assert not entrance.publisher.stored
    with entrance.ledger.reading() as connection:
        assert not list(connection.execute(select(tables.case_keys)))


async def test_without_rights_in_the_policy_nobody_is_asked(enter: Any) -> None:
    entrance = await enter(policy=None)
    response = await entrance.send(ACCESS, path=PATH, Origin=SHOP)
    assert response.status == 404
    assert "[rights]" in (await response.json())["error"]
    assert response.headers["Access-Control-Allow-Origin"] == SHOP


@pytest.mark.parametrize("lost", ["keks/marketing", "keks/rights", "subject-key", "ledger"])
async def test_without_keys_or_ledger_nothing_is_stored(
    entrance: Any, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if lost == "ledger":
        with entrance.ledger.transaction() as connection:
            connection.exec_driver_sql("ALTER TABLE case_keys RENAME TO elsewhere")
    else:
        (entrance.secrets / lost).unlink()
    response = await entrance.send(ACCESS, path=PATH)
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert not entrance.publisher.stored
    told = capsys.readouterr()
    assert "canary" not in (await response.text() + told.out + told.err).lower()


async def test_what_the_broker_did_not_store_is_not_acknowledged(entrance: Any) -> None:
    entrance.publisher.available = False
    assert (await entrance.send(ACCESS, path=PATH)).status == 503
    entrance.publisher.available = True
    assert (await entrance.send(ACCESS, path=PATH)).status == 202


@pytest.mark.parametrize(
    "named",
    [{"email": MAIL}, {"email": f" {MAIL.upper()}"}, {"cookie_id": COOKIE}],
    ids=["address", "spelling", "cookie"],
)
async def test_s17_one_person_is_written_to_a_few_times_a_day_at_most(
    entrance: Any, named: dict[str, str]
) -> None:
    """Whoever it is that asks for them; others are not held up."""
    first = {"email": MAIL} if "email" in named else named
    for _ in range(5):
        assert (await entrance.send({"right": "access", **first}, path=PATH)).status == 202
    response = await entrance.send({"right": "access", **named}, path=PATH)
    assert response.status in {422, 429}, "an address with a space around it may be none"
    if response.status == 429:
        assert int(response.headers["Retry-After"]) > 3_600
    other = {"right": "access", "email": "other@example.com"}
    assert (await entrance.send(other, path=PATH)).status == 202
    assert len([each for each in entrance.requests if each["kind"] == "asked"]) == 6


@pytest.mark.parametrize(
    ("key", "origin", "status"),
    [
        ("shop-key", SHOP, 202),
        ("shop-key", None, 202),
        ("shop-key", "https://blog.example", 403),
        ("no-key", SHOP, 401),
    ],
)
async def test_keys_and_origins_are_those_of_events(
    entrance: Any, key: str, origin: str | None, status: int
) -> None:
    response = await entrance.send(ACCESS, path=PATH, key=key, Origin=origin)
    assert response.status == status
    assert len(entrance.requests) == (status == 202)


async def test_a_page_may_send_a_request_with_its_key(entrance: Any) -> None:
    response = await entrance.client.options(
        PATH, headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"}
    )
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Methods"] == "POST"


async def test_bodies_and_rates_are_bounded_like_those_of_forms(enter: Any) -> None:
    entrance = await enter(max_body=1_000, rate=0.001, burst=4)
    body = json.dumps(ACCESS).encode()
    assert (await entrance.send(body.ljust(1_001), path=PATH)).status == 413
    assert (await entrance.send(body, path=PATH, Content_Type="text/html")).status == 415
    assert (await entrance.send(b'{"a":1,"a":2}', path=PATH)).status == 400
    assert (await entrance.send(body, path=PATH)).status == 202
    assert (await entrance.send(body, path=PATH)).status == 429


async def test_requests_are_counted_by_outcome_alone(entrance: Any) -> None:
    await entrance.send(ACCESS, path=PATH)
    text = await (await entrance.client.get("/metrics")).text()
    assert 'lethe_collector_requests_total{outcome="accepted",site="shop.example"}' in text
    assert "canary" not in text.lower()
