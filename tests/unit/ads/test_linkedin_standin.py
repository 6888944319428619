"""LinkedIn's stand-in: what it takes and what it says, without our connector."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.pytest_plugin import AiohttpClient

from lethe.standins.desk import Desk, Removal
from lethe.standins.linkedin import LinkedIn, routes

NOW = 1_795_510_000_000  # 2026-11-24T08:46:40Z
HEADERS = {
    "Authorization": "Bearer linkedin-token",
    "LinkedIn-Version": "202608",
    "X-Restli-Protocol-Version": "2.0.0",
    "X-RestLi-Method": "BATCH_CREATE",
}
EVENT: dict[str, Any] = {
    "conversion": "urn:lla:llaPartnerConversion:123",
    "conversionHappenedAt": NOW,
    "user": {"userIds": []},
    "eventId": "e-1",
}
USERS = "/rest/dmpSegments/77/users"
MEMBER: dict[str, Any] = {
    "action": "ADD",
    "userIds": [{"idType": "SHA256_EMAIL", "idValue": "0" * 64}],
}

Send = Callable[..., Awaitable[ClientResponse]]


@pytest.fixture
def desk() -> Desk:
    return Desk(clock=lambda: NOW / 1000)


@pytest.fixture
def linkedin() -> LinkedIn:
    return LinkedIn()


@pytest.fixture
async def send(aiohttp_client: AiohttpClient, desk: Desk, linkedin: LinkedIn) -> Send:
    app = web.Application(client_max_size=2**24)
    app.add_routes(routes(desk, linkedin))
    client = await aiohttp_client(app)

    async def post(
        *elements: Any, path: str = "/rest/conversionEvents", **headers: str | None
    ) -> ClientResponse:
        named = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        given = {name: value for name, value in named.items() if value is not None}
        return await client.post(path, json={"elements": elements}, headers=given)

    return post


async def test_a_batch_is_answered_with_a_status_each(send: Send, desk: Desk) -> None:
    response = await send(EVENT, {**EVENT, "eventId": "e-2"})
    assert response.status == 200
    assert await response.json() == {"elements": [{"status": 201}, {"status": 201}]}
    assert desk.taken == {("linkedin", "e-1"): 1, ("linkedin", "e-2"): 1}


async def test_a_single_event_is_answered_with_201_and_no_body(
    aiohttp_client: AiohttpClient, desk: Desk
) -> None:
    app = web.Application()
    app.add_routes(routes(desk))
    client = await aiohttp_client(app)
    single = {name: value for name, value in HEADERS.items() if name != "X-RestLi-Method"}
    response = await client.post("/rest/conversionEvents", json=EVENT, headers=single)
    assert (response.status, await response.read()) == (201, b"")


async def test_values_are_not_checked(send: Send) -> None:
    ids = [
        {"idType": "PLAINTEXT_IP_ADDRESS", "idValue": "999.999.999.999"},
        {"idType": "SHA256_EMAIL", "idValue": "no hash"},
    ]
    assert (await send({**EVENT, "user": {"userIds": ids}})).status == 200


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"conversion": None}, "/conversion"),
        ({"conversionHappenedAt": "now"}, "/conversionHappenedAt"),
        ({"conversionHappenedAt": NOW - 91 * 24 * 3600 * 1000}, "/conversionHappenedAt"),
        ({"conversionHappenedAt": NOW // 1000}, "/conversionHappenedAt"),
        ({"user": None}, "/user"),
        ({"user": {}}, "/user/userIds"),
        ({"user": {"userIds": [{"idType": "PHONE", "idValue": "1"}]}}, "/user/userIds/0/idType"),
        ({"user": {"userIds": [{"idType": "SHA256_EMAIL"}]}}, "/user/userIds/0/idValue"),
        ({"user": {"userIds": [], "userInfo": {"lastName": "E"}}}, "/user/userInfo/firstName"),
        ({"user": {"userIds": [], "userInfo": {"firstName": "A"}}}, "/user/userInfo/lastName"),
        ({"user": {"userIds": [], "externalIds": ["1", "2"]}}, "/user/externalIds"),
        ({"conversionValue": {"currencyCode": "EUR", "amount": 10.0}}, "/conversionValue/amount"),
    ],
)
async def test_one_bad_element_fails_all_and_is_named(
    send: Send, desk: Desk, change: dict[str, Any], path: str
) -> None:
    response = await send(EVENT, {**EVENT, **change})
    message = (await response.json())["message"]
    assert response.status == 422
    assert message.startswith(f"Index: 1, ERROR :: {path} :: ")
    assert not desk.taken


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Authorization": None}, 401, 65600),
        ({"Authorization": "Bearer old"}, 401, 65600),
        ({"Authorization": "Bearer gone"}, 401, 65601),
        ({"LinkedIn_Version": None}, 400, "VERSION_MISSING"),
        ({"LinkedIn_Version": "202511"}, 426, "NONEXISTENT_VERSION"),
        ({"X_Restli_Protocol_Version": None}, 400, None),
    ],
)
async def test_headers_are_required(
    send: Send, linkedin: LinkedIn, headers: dict[str, str | None], status: int, code: object
) -> None:
    linkedin.expired, linkedin.revoked = {"old"}, {"gone"}
    for path in ("/rest/conversionEvents", USERS):
        response = await send(EVENT, path=path, **headers)
        content = await response.json()
        assert response.status == status
        assert content.get("serviceErrorCode", content.get("code")) == code


@pytest.mark.parametrize("count", [0, 5_001])
async def test_a_batch_has_1_to_5000_elements(send: Send, count: int) -> None:
    assert (await send(*[EVENT] * count)).status == 400


async def test_a_rule_it_cannot_resolve(send: Send, linkedin: LinkedIn) -> None:
    linkedin.rules = {"124"}
    response = await send(EVENT)
    assert (response.status, (await response.json())["message"]) == (403, "No ad accounts found")


async def test_a_rule_of_the_insight_tag(send: Send, linkedin: LinkedIn) -> None:
    linkedin.tag_rules = {"124"}
    response = await send(EVENT, {**EVENT, "conversion": "urn:lla:llaPartnerConversion:124"})
    assert response.status == 400
    assert (await response.json())["message"] == (
        "Conversion's method should be CONVERSIONS_API, indices [1] (0-indexed)"
    )


async def test_throttles_by_the_minute(send: Send, linkedin: LinkedIn) -> None:
    linkedin.requests_a_minute, linkedin.retry_after = 2, 9
    answers = [await send(EVENT) for _ in range(3)]
    assert [each.status for each in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "9"
    assert (await send(MEMBER, path=USERS)).status == 200


async def test_members_are_added_and_removed(send: Send, desk: Desk) -> None:
    response = await send(MEMBER, {**MEMBER, "action": "REMOVE"}, path=USERS)
    assert (response.status, await response.json()) == (200, {"elements": [{"status": 201}] * 2})
    assert desk.taken == {("linkedin", "0" * 64): 1}
    assert desk.removed == {("linkedin", Removal("77", "0" * 64)): 1}


@pytest.mark.parametrize(
    "change",
    [
        {"action": "UPDATE"},
        {"userIds": None},
        {
            "userIds": [
                {"idType": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "idValue": "a click id"}
            ]
        },
    ],
)
async def test_segments_take_no_click_ids(send: Send, change: dict[str, Any]) -> None:
    assert (await send({**MEMBER, **change}, path=USERS)).status == 422
