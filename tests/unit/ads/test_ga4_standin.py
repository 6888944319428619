"""The stand-in for GA4, over HTTP: it says yes to everything, and takes what keeps the rules."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpClient

from lethe.standins.desk import Desk, Removal
from lethe.standins.ga4 import routes

NOW = 1_795_424_460_000
MICROS = NOW * 1000
HOUR = 3_600_000_000
COLLECT = "/mp/collect?measurement_id=G-ABC&api_secret="
DELETE = "/v1alpha/properties/77:submitUserDeletion"
BEARER = {"Authorization": "Bearer google-token"}


@pytest.fixture
def desk() -> Desk:
    return Desk(clock=lambda: NOW / 1000)


@pytest.fixture
async def google(desk: Desk, aiohttp_client: AiohttpClient) -> Any:
    app = web.Application()
    app.add_routes(routes(desk, secrets={"G-ABC": "good"}, properties=("77",)))
    return await aiohttp_client(app)


def view(**changed: Any) -> dict[str, Any]:
    event = {"name": "page_view", "params": {"event_id": "evt-1", "page_location": "https://a"}}
    return {"client_id": "c1.1700000000", "events": [event], **changed}


def parameter(name: str, value: Any) -> dict[str, Any]:
    return view(events=[{"name": "page_view", "params": {name: value}}])


FAULTS = {
    "VALUE_REQUIRED": [view(client_id=""), view(events=[]), view(events=[{}])],
    "VALUE_INVALID": [
        [],
        view(timestamp_micros="now"),
        view(timestamp_micros=MICROS + HOUR),
        view(consent={"ad_user_data": "CONSENT_GRANTED"}),  # the Data Manager API's word
        view(consent={"analytics": "GRANTED"}),
        view(user_properties={"segment": {"value": "b" * 37}}),
        parameter("page", None),
        parameter("page", ["a"]),
    ],
    "NAME_RESERVED": [
        view(events=[{"name": "session_start"}]),
        view(events=[{"name": "ga_view"}]),
        parameter("google_page", "a"),
    ],
    "NAME_INVALID": [
        view(events=[{"name": "page-view"}]),
        view(events=[{"name": "p" * 41}]),
        parameter("1st", "a"),
        view(user_properties={"s" * 25: {"value": "b"}}),
    ],
    "VALUE_OUT_OF_BOUNDS": [
        parameter("group_id", "g" * 101),
        parameter("page_location", "g" * 1001),
        view(timestamp_micros=MICROS - 73 * HOUR, validation_behavior="ENFORCE_RECOMMENDATIONS"),
    ],
    "EXCEEDED_MAX_ENTITIES": [
        view(events=[{"name": "page_view"}] * 26),
        view(events=[{"name": "page_view", "params": {f"p{n}": 1 for n in range(26)}}]),
        view(user_properties={f"p{n}": {"value": 1} for n in range(26)}),
    ],
}
CASES = [(code, body) for code, bodies in FAULTS.items() for body in bodies]


async def test_collection_is_204_and_the_desk_knows_what_was_taken(google: Any, desk: Desk) -> None:
    answer = await google.post(COLLECT + "good", json=view())
    assert (answer.status, await answer.text()) == (204, "")
    assert desk.taken == {("ga4", "evt-1"): 1}


async def test_the_same_twice_counts_twice(google: Any, desk: Desk) -> None:
    for _ in range(2):
        await google.post(COLLECT + "good", json=view())
    assert desk.taken["ga4", "evt-1"] == 2


@pytest.mark.parametrize("secret", ["", "bad"])
async def test_a_bad_secret_is_silent(google: Any, desk: Desk, secret: str) -> None:
    assert (await google.post(COLLECT + secret, json=view())).status == 204
    assert not desk.taken


@pytest.mark.parametrize(("code", "body"), CASES)
async def test_a_fault_is_silent_and_only_the_debug_endpoint_tells(
    google: Any, desk: Desk, code: str, body: Any
) -> None:
    assert (await google.post(COLLECT + "good", json=body)).status == 204
    told = await google.post("/debug/mp/collect", json=body)
    assert told.status == 200
    assert code in {each["validationCode"] for each in (await told.json())["validationMessages"]}
    assert not desk.taken


async def test_the_debug_endpoint_takes_nothing(google: Any, desk: Desk) -> None:
    told = await google.post("/debug/mp/collect", json=view())
    assert await told.json() == {"validationMessages": []}
    assert not desk.taken


async def test_a_body_of_130_kb_is_too_large(google: Any, desk: Desk) -> None:
    await google.post(COLLECT + "good", json=view(padding="a" * 130_000))
    assert not desk.taken


async def test_an_old_event_is_taken_with_another_time(google: Any, desk: Desk) -> None:
    await google.post(COLLECT + "good", json=view(timestamp_micros=MICROS - 73 * HOUR))
    assert desk.taken["ga4", "evt-1"] == 1


async def test_deletion_tells_when_it_was_asked_for(google: Any, desk: Desk) -> None:
    answer = await google.post(DELETE, json={"clientId": "c1.1700000000"}, headers=BEARER)
    assert await answer.json() == {"deletionRequestTime": "2026-11-23T09:01:00Z"}
    assert desk.removed == {("ga4", Removal("77", "c1.1700000000")): 1}


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        (DELETE, {}, {"clientId": "c1"}, 401),
        (DELETE, {"Authorization": "Bearer other"}, {"clientId": "c1"}, 401),
        (DELETE.replace("77", "78"), BEARER, {"clientId": "c1"}, 403),
        (DELETE, BEARER, {"clientId": "c1", "userId": "u1"}, 400),  # exactly one
        (DELETE, BEARER, {}, 400),
        (DELETE, BEARER, {"clientId": ""}, 400),
    ],
)
async def test_deletion_refuses(
    google: Any, desk: Desk, path: str, headers: dict[str, str], body: dict[str, str], status: int
) -> None:
    answer = await google.post(path, json=body, headers=headers)
    assert answer.status == status
    assert (await answer.json())["error"]["code"] == status
    assert not desk.removed
