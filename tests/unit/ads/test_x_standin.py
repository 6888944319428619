"""X's stand-in: what it takes and what it says, without our connector."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.pytest_plugin import AiohttpClient
from oauthlib.oauth1 import Client

from lethe.standins.desk import Desk, Removal
from lethe.standins.x import X, routes

NOW = 1_795_510_000_000  # 2026-11-24T08:46:40Z
STAMP = str(NOW // 1000)
EVENT: dict[str, Any] = {
    "conversion_time": "2026-11-24T08:46:40.000Z",
    "event_id": "tw-o8z6j-o87ne",
    "identifiers": [{"twclid": "23opevjt"}],
    "conversion_id": "e-1",
}
CONVERSIONS = "/12/measurement/conversions/o8z6j"
USERS = "/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users"
MEMBER: dict[str, Any] = {
    "operation_type": "Update",
    "params": {"users": [{"partner_user_id": ["p1"]}]},
}
NO_IDENTIFIER = "At least one user identifier must be provided"

Send = Callable[..., Awaitable[ClientResponse]]


@pytest.fixture
def desk() -> Desk:
    return Desk(clock=lambda: NOW / 1000)


@pytest.fixture
def x() -> X:
    return X()


@pytest.fixture
async def send(aiohttp_client: AiohttpClient, desk: Desk, x: X) -> Send:
    """Return a sender that signs with oauthlib's own client; a nonce is new unless it is given."""
    app, part = web.Application(client_max_size=2**24), web.Application()
    part.add_routes(routes(desk, x))
    app.add_subapp("/x", part)
    client = await aiohttp_client(app)
    count = iter(range(10_000))

    async def post(
        content: Any, path: str = CONVERSIONS, headers: dict[str, str] | None = None, **auth: str
    ) -> ClientResponse:
        secrets = {
            "client_key": "x-consumer-key",
            "client_secret": "x-consumer-secret",
            "resource_owner_key": "x-token",
            "resource_owner_secret": "x-token-secret",
            "nonce": str(next(count)),
            "timestamp": STAMP,
        }
        url = client.make_url(f"/x{path}")
        signed = Client(**{**secrets, **auth}).sign(str(url), "POST")[1] if headers is None else {}
        return await client.post(f"/x{path}", json=content, headers=headers or dict(signed))

    return post


async def test_a_signed_batch_is_processed(send: Send, desk: Desk) -> None:
    response = await send({"conversions": [EVENT, {**EVENT, "conversion_id": "e-2"}]})
    content = await response.json()
    assert (response.status, content["data"]["conversions_processed"]) == (200, 2)
    assert desk.taken == {("x", "e-1"): 1, ("x", "e-2"): 1}


async def test_the_token_of_a_pixel_serves_for_conversions_only(send: Send) -> None:
    token = {"X-Pixel-Token": "x-pixel-token"}
    assert (await send({"conversions": [EVENT]}, headers=token)).status == 200
    assert (await send([MEMBER], USERS, headers=token)).status == 401
    wrong = {"X-Pixel-Token": "another"}
    assert (await send({"conversions": [EVENT]}, headers=wrong)).status == 401


@pytest.mark.parametrize(
    "auth",
    [
        {"client_key": "another"},
        {"client_secret": "another"},
        {"resource_owner_key": "another"},
        {"resource_owner_secret": "another"},
        {"timestamp": str(NOW // 1000 - 301)},
        {"timestamp": str(NOW // 1000 + 301)},
        {"timestamp": "now"},
        {"signature_method": "PLAINTEXT"},
    ],
)
async def test_a_wrong_signature_is_not_authorised(send: Send, auth: dict[str, str]) -> None:
    for content, path in (({"conversions": [EVENT]}, CONVERSIONS), ([MEMBER], USERS)):
        response = await send(content, path, **auth)
        assert response.status == 401
        assert (await response.json())["errors"][0]["code"] == "UNAUTHORIZED_ACCESS"


async def test_a_nonce_serves_once(send: Send) -> None:
    statuses = [(await send({"conversions": [EVENT]}, nonce="same")).status for _ in range(2)]
    assert statuses == [200, 401]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_id": None}, "Event_id (None) is not a single event tag (SET)"),
        ({"event_id": ""}, "Event_id is required"),
        ({"event_id": "Lead"}, "Event_id (Lead) is not a single event tag (SET)"),
        ({"conversion_time": None}, "Expected time"),
        ({"conversion_time": 1_795_510_000}, "Expected time"),
        ({"identifiers": []}, NO_IDENTIFIER),
        ({"identifiers": [{"ip_address": "192.0.2.0"}]}, NO_IDENTIFIER),
        ({"identifiers": [{"user_agent": "Browser/1"}]}, NO_IDENTIFIER),
        ({"identifiers": [{"twclid": "a"}, {"user_agent": "Browser/1"}]}, NO_IDENTIFIER),
        (
            {"identifiers": [{"hashed_email": "anna"}]},
            "Hashed_email is not a valid SHA-256 hash",
        ),
        ({"number_items": 0}, "Expected a positive number"),
        ({"value": 20}, "Expected a number with decimals"),
        ({"value": "20"}, "Expected a number with decimals"),
    ],
)
async def test_one_bad_conversion_fails_all_and_the_fault_is_told(
    send: Send, desk: Desk, change: dict[str, Any], message: str
) -> None:
    response = await send({"conversions": [EVENT, {**EVENT, **change}]})
    errors = (await response.json())["errors"]
    assert response.status == 400
    assert [(each["code"], each["message"]) for each in errors] == [("INVALID_PARAMETER", message)]
    assert not desk.taken


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": "o87ne"},
        {"conversion_time": None, "conversion_timestamp": NOW},
        {"identifiers": [{"ip_address": "192.0.2.0", "user_agent": "Browser/1"}]},
        {"identifiers": [{"hashed_email": "0" * 64, "user_agent": "Browser/1"}]},
        {"identifiers": [{"hashed_phone_number": "0" * 64}]},
        {"value": "20.00", "number_items": 2, "price_currency": "EUR", "contents": []},
    ],
)
async def test_it_is_no_stricter_than_x(send: Send, change: dict[str, Any]) -> None:
    assert (await send({"conversions": [{**EVENT, **change}]})).status == 200


@pytest.mark.parametrize("content", [None, [], {"conversions": []}])
async def test_nothing_is_no_conversion(send: Send, content: Any) -> None:
    assert (await send(content)).status == 400


async def test_500_conversions_and_no_more(send: Send) -> None:
    response = await send({"conversions": [EVENT] * 501})
    assert (await response.json())["errors"][0]["message"] == "Conversion count limit is 500"
    assert (await send({"conversions": [EVENT] * 500})).status == 200


async def test_throttles_events_by_the_quarter_hour(send: Send, x: X) -> None:
    x.events_a_quarter_hour = 3
    answers = [await send({"conversions": [EVENT] * count}) for count in (2, 2, 1)]
    assert [each.status for each in answers] == [200, 429, 200]
    assert [each.headers["x-rate-limit-remaining"] for each in answers] == ["1", "0", "0"]
    assert int(answers[1].headers["x-rate-limit-reset"]) == NOW // 1000 + 800
    assert answers[1].headers["Date"] == "Tue, 24 Nov 2026 08:46:40 GMT"


async def test_throttles_audiences_by_the_minute(send: Send, x: X) -> None:
    x.requests_a_minute = 1
    assert [(await send([MEMBER], USERS)).status for _ in range(2)] == [200, 429]


async def test_members_are_counted(send: Send, desk: Desk) -> None:
    response = await send([MEMBER, {**MEMBER, "operation_type": "Delete"}], USERS)
    assert (await response.json())["data"] == {"success_count": 2, "total_count": 2}
    assert desk.taken == {("x", "p1"): 1}
    assert desk.removed == {("x", Removal("1nmth", "p1")): 1}


@pytest.mark.parametrize(
    "change",
    [
        {"operation_type": "Upsert"},
        {"params": None},
        {"params": {"users": []}},
        {"params": {"users": [{"name": ["Anna"]}]}},
        {"params": {"users": [{"email": ["anna@example.com"]}]}},
    ],
)
async def test_one_bad_operation_fails_all_and_is_named(
    send: Send, desk: Desk, change: dict[str, Any]
) -> None:
    response = await send([MEMBER, {**MEMBER, **change}, MEMBER], USERS)
    errors = (await response.json())["operation_errors"]
    assert response.status == 400
    assert [bool(each) for each in errors] == [False, True, False]
    assert not desk.taken


@pytest.mark.parametrize("operations", [[], [MEMBER] * 2_501])
async def test_2500_operations_and_no_more(send: Send, operations: list[Any]) -> None:
    assert (await send(operations, USERS)).status == 400


async def test_an_audience_has_a_body_of_5_mb_and_no_more(send: Send) -> None:
    large = {"operation_type": "Update", "params": {"users": [{"partner_user_id": ["p" * 10**6]}]}}
    assert (await send([large] * 4, USERS)).status == 200
    assert (await send([large] * 5, USERS)).status == 400


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/11/measurement/conversions/o8z6j", 404, "ROUTE_NOT_FOUND"),
        ("/12/measurement/conversions/o8z7k", 404, "NOT_FOUND"),
        ("/12/accounts/other/custom_audiences/1nmth/users", 403, "ACCOUNT_NOT_FOUND"),
        ("/12/accounts/18ce54d4x5t/custom_audiences/2/users", 404, "TAILORED_AUDIENCE_NOT_FOUND"),
    ],
)
async def test_what_is_not_there(send: Send, x: X, path: str, status: int, code: str) -> None:
    x.pixels, x.account, x.audiences = {"o8z6j"}, "18ce54d4x5t", {"1nmth"}
    response = await send([MEMBER], path)
    assert (response.status, (await response.json())["errors"][0]["code"]) == (status, code)
