"""What a site meets at ``POST /v1/events``. NOW is the entrance's clock, 2026-11-24T08:46:40Z."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from privacy.pseudonym import visitor_hash
from sinks.salts import Salts
from streams.metrics import REGISTRY

NOW = 1_795_510_000_000
EVENT = {"type": "page_view", "page": "https://shop.example/tea", "cookie_id": "c-1"}
ID = "5f0c2d0e-9b1d-4c4e-8d53-0f1d3a1f7a11"


async def test_one_event_is_published_with_what_the_entrance_adds(entrance: Any) -> None:
    response = await entrance.send(EVENT, User_Agent="Mozilla/5.0 (Example)")
    assert response.status == 202
    answer = await response.json()
    assert answer == {"accepted": 1, "event_ids": ["00000000-0000-4000-8000-000000000001"]}
    (event,) = entrance.events
    assert event["event_id"] == answer["event_ids"][0]
    assert event["received_at"].timestamp() * 1000 == NOW
    assert event["occurred_at"] == event["received_at"]
    assert (event["site"], event["user_agent"]) == ("shop.example", "Mozilla/5.0 (Example)")
    ((topic, message),) = entrance.publisher.stored
    assert (topic, message.key) == ("tracking-events", b"shop.example|c-1")


@pytest.mark.parametrize("shape", [lambda e: e, lambda e: {"events": e}])
async def test_a_batch_is_published_in_order_under_its_own_ids(entrance: Any, shape: Any) -> None:
    events = [{**EVENT, "name": str(n)} for n in range(499)] + [{**EVENT, "event_id": ID}]
    answer = await (await entrance.send(shape(events))).json()
    assert answer["accepted"] == 500
    assert answer["event_ids"][-1] == ID
    assert [event["event_id"] for event in entrance.events] == answer["event_ids"]
    assert [event["name"] for event in entrance.events[:-1]] == [str(n) for n in range(499)]


@pytest.mark.parametrize(
    "media_type",
    ["text/plain;charset=UTF-8", "application/json", "application/json; charset=UTF-8"],
)
async def test_a_beacon_is_taken_with_its_key_in_the_query(entrance: Any, media_type: str) -> None:
    """``navigator.sendBeacon`` cannot set headers and sends a string as text/plain."""
    response = await entrance.client.post(
        "/v1/events?key=shop-key",
        data=json.dumps(EVENT).encode(),
        headers={"Content-Type": media_type, "Origin": "https://shop.example"},
    )
    assert response.status == 202
    assert entrance.events[0]["site"] == "shop.example"


@pytest.mark.parametrize(
    ("key", "site"), [("shop-key-2", "shop.example"), ("blog-key", "blog.example")]
)
async def test_the_key_decides_the_site(entrance: Any, key: str, site: str) -> None:
    assert (await entrance.send(EVENT, key=key)).status == 202
    assert entrance.events[0]["site"] == site


@pytest.mark.parametrize("key", [None, "", "Shop-key", "shop", "ключ", "k" * 4000])
async def test_an_unknown_key_is_refused(entrance: Any, key: str | None) -> None:
    assert (await entrance.send(EVENT, key=key)).status == 401
    assert not entrance.events


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": None}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "application/json; charset=latin-1"}, 415),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Encoding": "br"}, 415),
        ({"Content_Encoding": "identity"}, 202),
        ({"Content_Type": "APPLICATION/JSON"}, 202),
    ],
)
async def test_only_plain_json_is_taken(
    entrance: Any, headers: dict[str, str | None], status: int
) -> None:
    assert (await entrance.send(json.dumps(EVENT).encode(), **headers)).status == status
    assert len(entrance.events) == (status == 202)


async def test_a_body_may_be_as_large_as_promised_and_no_larger(enter: Any) -> None:
    entrance = await enter(max_body=1_000)
    body = json.dumps(EVENT).encode()
    assert (await entrance.send(body.ljust(1_000))).status == 202
    assert (await entrance.send(body.ljust(1_001))).status == 413
    assert len(entrance.events) == 1


@pytest.mark.parametrize(("size", "status"), [(1_000, 202), (1_001, 413), (10_000_000, 413)])
async def test_a_body_of_no_stated_length_is_held_to_the_same(
    enter: Any, size: int, status: int
) -> None:
    entrance = await enter(max_body=1_000)

    async def chunks() -> Any:
        rest = json.dumps(EVENT).encode().ljust(1_000)
        yield rest
        for _ in range((size - 1_000 + 999) // 1_000):
            yield b" " * min(1_000, size - 1_000)

    headers = {"Content-Type": "application/json", "X-Lethe-Key": "shop-key"}
    try:
        response = await entrance.client.post("/v1/events", data=chunks(), headers=headers)
    except ConnectionError:
        assert status == 413  # hung up on in the middle of it
    else:
        assert response.status == status
    assert len(entrance.events) == (status == 202)


async def test_a_body_that_does_not_come_is_not_waited_for(
    entrance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.listen.BODY_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection(entrance.client.host, entrance.client.port)
    writer.write(
        b"POST /v1/events HTTP/1.1\r\nHost: a.example\r\nX-Lethe-Key: shop-key\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"type":"click","type":"click"}', b"NaN"])
async def test_what_is_not_json_is_refused(entrance: Any, body: bytes) -> None:
    response = await entrance.send(body)
    assert response.status == 400
    assert (await response.json()).keys() == {"error"}
    assert not entrance.events


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"type": "page_view", "user_id": "secret-value"}, "user_id"),
        ({"type": "page_view", "userId": "secret-value"}, "userId"),
        ({"type": "page_view", "email": "secret-value"}, "email"),
        ({"type": "secret-value"}, "type"),
        ({"type": "page_view", "event_id": "secret-value"}, "event_id"),
        ({"type": "page_view", "page": "secret-value\0"}, "page"),
        ({"type": "page_view", "page": "secret-value" * 200}, "page"),
        ({"type": "page_view", "occurred_at": "secret-value"}, "occurred_at"),
        ({"type": "page_view", "occurred_at": "9999-12-31T23:59:59-23:59"}, "occurred_at"),
        ({"type": "page_view", "occurred_at": NOW + 600_000}, "occurred_at"),
        ({"type": "page_view", "occurred_at": NOW - 49 * 3_600_000}, "occurred_at"),
        ({"type": "page_view", "ad_ids": {"fbp": "secret-value"}}, "ad_ids"),
        ({"type": "page_view", "consent_epoch": 1, "ad_ids": {"x": "secret-value"}}, "ad_ids"),
        ({"type": "page_view", "latitude": 91}, "latitude"),
        ({"type": "page_view", "cookie_id": "\ud800secret-value"}, "cookie_id"),
        ({"type": "page_view", "secret-value": 1}, "(a field)"),
        ("secret-value", "event"),
    ],
)
async def test_a_breach_of_contract_is_named_without_its_value(
    entrance: Any, event: object, field: str
) -> None:
    response = await entrance.send([EVENT, event])
    text = await response.text()
    assert response.status == 422
    problems = json.loads(text)["problems"]
    assert [(problem["index"], problem["field"]) for problem in problems] == [(1, field)]
    assert all(problem["rule"] for problem in problems)
    assert "secret-value" not in text
    assert not entrance.events, "all or nothing"


@pytest.mark.parametrize(
    ("address", "headers", "hops", "shown"),
    [
        ("192.0.2.77", {"X_Forwarded_For": "192.0.2.77"}, 1, "192.0.2.0"),
        ("2001:db8:1:2::77", {"X_Forwarded_For": "2001:db8:1:2::77"}, 1, "2001:db8:1::"),
        ("192.0.2.77", {"Forwarded": 'for="192.0.2.77:4711"'}, 1, "192.0.2.0"),
        ("192.0.2.77", {"X_Forwarded_For": "::ffff:192.0.2.77"}, 1, "192.0.2.0"),
        (
            "192.0.2.77",
            {"X_Forwarded_For": "198.51.100.66, 192.0.2.77, 203.0.113.1"},
            2,
            "192.0.2.0",
        ),
        ("198.51.100.66", {"X_Forwarded_For": "198.51.100.66"}, 2, None),
    ],
)
async def test_no_full_address_is_published(
    enter: Any, address: str, headers: dict[str, str], hops: int, shown: str | None
) -> None:
    entrance = await enter(trusted_hops=hops)
    assert (await entrance.send({"type": "click"}, **headers)).status == 202
    ((_, message),) = entrance.publisher.stored
    assert entrance.events[0]["ip"] == shown
    for hidden in (address, "198.51.100.66", "203.0.113.1", "127.0.0.1"):
        assert hidden.encode() not in message.value


async def test_an_event_s_own_address_is_shortened_too(entrance: Any) -> None:
    assert (await entrance.send({"type": "click", "ip": "192.0.2.77"})).status == 202
    assert entrance.events[0]["ip"] == "192.0.2.0"
    assert b"192.0.2.77" not in entrance.publisher.stored[0][1].value


async def test_without_trusted_proxies_the_socket_s_address_counts(entrance: Any) -> None:
    await entrance.send({"type": "click"}, X_Forwarded_For="192.0.2.77", Forwarded="for=192.0.2.77")
    assert entrance.events[0]["ip"] == "127.0.0.0"


async def test_visitors_are_hashed_with_the_day_s_salt_and_the_full_address(enter: Any) -> None:
    entrance = await enter(trusted_hops=1)
    for address in ("192.0.2.1", "192.0.2.2"):
        await entrance.send({"type": "click", "user_agent": "a"}, X_Forwarded_For=address)
    salt = entrance.salts.current(NOW)
    assert [event["visitor"] for event in entrance.events] == [
        visitor_hash(salt, "shop.example", NOW // 86_400_000, None, "a", address)
        for address in ("192.0.2.1", "192.0.2.2")
    ]


@pytest.mark.parametrize("agent", [b"\xff\xfe", b"a\tb", b"a" * 3000])
async def test_a_user_agent_that_breaks_the_contract_spoils_no_event(
    entrance: Any, agent: bytes
) -> None:
    response = await entrance.send(EVENT, User_Agent=agent.decode("utf-8", "surrogateescape"))
    assert response.status == 202
    assert entrance.events[0]["user_agent"] in {None, "a" * 1024}


async def test_a_site_key_has_its_rate(enter: Any) -> None:
    entrance = await enter(rate=1.0, burst=5)
    assert (await entrance.send([EVENT] * 3)).status == 202
    refused = await entrance.send([EVENT] * 3)
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    assert (await entrance.send([EVENT], key="blog-key")).status == 202
    assert len(entrance.events) == 4


async def test_an_address_has_its_rate_whatever_it_sends(enter: Any) -> None:
    entrance = await enter(rate=0.001, burst=3, trusted_hops=1)
    junk = [
        await entrance.send(b"junk", key="no-key", X_Forwarded_For="192.0.2.1") for _ in range(4)
    ]
    assert [response.status for response in junk] == [401, 401, 401, 429]
    assert (await entrance.send(EVENT, X_Forwarded_For="192.0.2.1")).status == 429
    assert (await entrance.send(EVENT, X_Forwarded_For="192.0.2.2")).status == 202


async def test_nothing_is_acknowledged_that_was_not_stored(entrance: Any) -> None:
    entrance.publisher.available = False
    refused = await entrance.send(EVENT)
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) >= 1
    entrance.publisher.available = True
    assert (await entrance.send(EVENT)).status == 202
    assert len(entrance.events) == 1


async def test_without_a_salt_nothing_enters(
    entrance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not made anonymous is not let in; what has today's salt already goes on."""
    assert (await entrance.send(EVENT)).status == 202
    monkeypatch.setattr(entrance.salts, "_read", _broken)
    assert (await entrance.send(EVENT)).status == 202
    entrance.now[0] += 86_400_000
    refused = await entrance.send(EVENT)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    ready = await entrance.client.get("/readyz")
    assert (ready.status, await ready.json()) == (503, {"broker": True, "salts": False})
    assert len(entrance.events) == 2


def _broken(_: int) -> None:
    raise OperationalError("select", {}, OSError())


async def test_an_unforeseen_failure_tells_nothing(
    entrance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("secret-value")

    monkeypatch.setattr("streams.collector.app.encode", fail)
    response = await entrance.send({**EVENT, "name": "secret-value"}, Origin="https://shop.example")
    assert (response.status, await response.json()) == (500, {"error": "internal error"})


async def test_every_outcome_is_counted_without_personal_data(entrance: Any) -> None:
    def counted(site: str, outcome: str) -> float:
        labels = {"site": site, "outcome": outcome}
        return REGISTRY.get_sample_value("lethe_collector_requests_total", labels) or 0

    before = [counted("shop.example", "accepted"), counted("", "unknown_key")]
    await entrance.send({**EVENT, "ip": "192.0.2.77"})
    await entrance.send(EVENT, key="visitor-typed-this")
    assert [counted("shop.example", "accepted"), counted("", "unknown_key")] == [
        before[0] + 1,
        before[1] + 1,
    ]
    shown = await (await entrance.client.get("/metrics")).text()
    assert 'lethe_collector_events_total{site="shop.example"}' in shown
    for personal in ("192.0.2.77", "visitor-typed-this", "c-1", "127.0.0.1"):
        assert personal not in shown


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/openapi.json", "/v1/nothing"])
async def test_every_answer_is_json_with_security_headers(entrance: Any, path: str) -> None:
    response = await entrance.client.get(path)
    assert isinstance(await response.json(), dict)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


async def test_readiness_follows_the_broker(entrance: Any) -> None:
    assert (await entrance.client.get("/readyz")).status == 200
    entrance.publisher.available = False
    assert (await entrance.client.get("/readyz")).status == 503
    assert (await entrance.client.get("/healthz")).status == 200


async def test_yesterday_s_salt_is_destroyed_without_any_traffic(
    enter: Any, tmp_path: Path
) -> None:
    salts = Salts.under(tmp_path)
    old = salts.current(NOW - 86_400_000)
    files = tmp_path / "keys"
    assert any(old in file.read_bytes() for file in files.iterdir())
    await enter()
    async with asyncio.timeout(10):
        while any(old in file.read_bytes() for file in files.iterdir()):  # noqa: ASYNC110 - files
            await asyncio.sleep(0.01)
