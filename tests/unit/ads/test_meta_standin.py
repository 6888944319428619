"""The stand-in for Meta enforces the contract by itself: asked here without the connector."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.pytest_plugin import AiohttpClient

from lethe.standins.desk import Desk, Removal
from lethe.standins.meta import routes

NOW = 1_795_424_460
DAY = 86_400
HASH = "0" * 64
EVENT = {
    "event_name": "Lead",
    "event_time": NOW - 60,
    "event_id": "evt-1",
    "action_source": "website",
    "event_source_url": "https://shop.example/form",
    "user_data": {"client_user_agent": "Mozilla/5.0 (Example)", "fbp": "fb.1.1795424000000.1"},
}
USERS = {"payload": {"schema": ["EMAIL", "EXTERN_ID"], "data": [[HASH, "x1"], ["", "x2"]]}}


class Graph:
    """The stand-in behind a socket, at a time of its own."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.desk = Desk(clock=lambda: self.now)
        self.client: Any = None

    async def call(
        self, path: str, body: object, method: str = "POST", token: str = "meta-token", **query: str
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response: ClientResponse = await self.client.request(
            method, path, json=body, headers=headers, params=query
        )
        return response.status, await response.json()

    async def send(self, *events: object, **more: Any) -> tuple[int, Any]:
        return await self.call("/v26.0/1234/events", {"data": list(events)}, **more)

    async def fault(self, *events: object, **more: Any) -> tuple[int, int | None]:
        """Send ``events``; return the code and subcode of the error."""
        status, answer = await self.send(*events, **more)
        assert status == 400
        assert not self.desk.taken
        return answer["error"]["code"], answer["error"].get("error_subcode")


Open = Callable[..., Awaitable[Graph]]


@pytest.fixture
def opened(aiohttp_client: AiohttpClient) -> Open:
    """Return a maker of stand-ins; arguments are those of ``routes``."""

    async def make(**options: Any) -> Graph:
        graph, app = Graph(), web.Application(client_max_size=2**24)
        app.add_routes(routes(graph.desk, **options))
        graph.client = await aiohttp_client(app)
        return graph

    return make


@pytest.fixture
async def graph(opened: Open) -> Graph:
    """Return a stand-in as it comes."""
    return await opened()


def with_user(**user: object) -> dict[str, object]:
    return {**EVENT, "user_data": user}


async def test_events_are_taken(graph: Graph) -> None:
    status, answer = await graph.send(EVENT, {**EVENT, "event_id": "evt-2"})
    assert (status, answer["events_received"], answer["messages"]) == (200, 2, [])
    assert graph.desk.taken == {("meta", "evt-1"): 1, ("meta", "evt-2"): 1}


@pytest.mark.parametrize("place", ["query", "body"])
async def test_a_token_may_come_in_query_or_body(graph: Graph, place: str) -> None:
    body = {"data": [EVENT], **({"access_token": "meta-token"} if place == "body" else {})}
    query = {"access_token": "meta-token"} if place == "query" else {}
    assert (await graph.call("/v26.0/1234/events", body, token="", **query))[0] == 200


@pytest.mark.parametrize(
    ("token", "fault"),
    [("", (104, None)), ("x", (190, None)), ("meta-expired", (190, 463)),
     ("meta-revoked", (190, 458))],
)  # fmt: skip
async def test_no_wrong_expired_or_revoked_token(
    graph: Graph, token: str, fault: tuple[int, int | None]
) -> None:
    assert await graph.fault(EVENT, token=token) == fault


async def test_a_version_that_is_gone(graph: Graph) -> None:
    _, answer = await graph.call("/v12.0/1234/events", {"data": [EVENT]})
    assert answer["error"]["code"] == 2635


async def test_a_pixel_that_the_token_may_not_see(opened: Open) -> None:
    graph = await opened(unknown={"1234"})
    assert await graph.fault(EVENT) == (100, 33)
    _, answer = await graph.call("/v26.0/x/events", {"data": [EVENT]})
    assert answer["error"]["error_subcode"] == 33


@pytest.mark.parametrize(
    "lacking", ["event_name", "event_time", "action_source", "event_source_url"]
)
async def test_a_website_event_needs(graph: Graph, lacking: str) -> None:
    event = {name: value for name, value in EVENT.items() if name != lacking}
    assert await graph.fault(event) == (100, None)


async def test_a_website_event_needs_its_user_agent(graph: Graph) -> None:
    assert await graph.fault(with_user(fbp="fb.1.1795424000000.1")) == (100, None)
    elsewhere = {**with_user(em=HASH), "action_source": "email"}
    assert (await graph.send(elsewhere))[0] == 200


@pytest.mark.parametrize(
    "user",
    [
        {},
        {"client_user_agent": "Mozilla/5.0 (Example)"},
        {"client_user_agent": "Mozilla/5.0 (Example)", "country": HASH, "zp": [HASH]},
        {"client_user_agent": "Mozilla/5.0 (Example)", "db": HASH},
        {"fn": HASH, "ge": HASH},
        {"ln": HASH, "ge": HASH},
    ],
)
async def test_thin_user_data_is_refused(graph: Graph, user: dict[str, object]) -> None:
    assert await graph.fault(with_user(**user)) == (100, 2804050)


@pytest.mark.parametrize("name", ["em", "ph", "fn", "ln", "zp", "country"])
async def test_what_identifies_a_person_must_be_hashed(graph: Graph, name: str) -> None:
    user = {"client_user_agent": "Mozilla/5.0 (Example)", "fbp": "fb.1.1.1"}
    for value in ("ann", ["ann"], HASH + "0", [HASH, 5]):
        assert await graph.fault(with_user(**user, **{name: value})) == (100, None)


async def test_an_event_of_eight_days_ago_poisons_the_batch(graph: Graph) -> None:
    assert await graph.fault(EVENT, {**EVENT, "event_time": NOW - 8 * DAY}) == (100, 2804003)
    assert (await graph.send({**EVENT, "event_time": NOW - 7 * DAY}))[0] == 200


async def test_an_event_of_the_future_is_refused(graph: Graph) -> None:
    assert await graph.fault({**EVENT, "event_time": NOW + 61}) == (100, None)
    assert (await graph.send({**EVENT, "event_time": NOW + 60}))[0] == 200


async def test_a_thousand_events_and_no_more(graph: Graph) -> None:
    assert await graph.fault(*[EVENT] * 1_001) == (100, None)
    assert await graph.fault() == (100, None)
    assert (await graph.send(*[EVENT] * 1_000))[1]["events_received"] == 1_000


async def test_limited_data_use(graph: Graph) -> None:
    place = {"data_processing_options_country": 1, "data_processing_options_state": 1000}
    assert await graph.fault({**EVENT, **place}) == (100, None)
    assert await graph.fault({**EVENT, "data_processing_options": ["GDPR"]}) == (100, None)
    assert (await graph.send({**EVENT, "data_processing_options": ["LDU"], **place}))[0] == 200
    assert (await graph.send({**EVENT, "data_processing_options": []}))[0] == 200


async def test_the_same_name_and_id_within_48_hours_count_once(graph: Graph) -> None:
    for _ in range(2):
        assert (await graph.send({**EVENT, "event_time": NOW}))[0] == 200
    await graph.send({**EVENT, "event_name": "PageView", "event_time": NOW})
    assert graph.desk.taken == {("meta", "evt-1"): 2}
    graph.now += 2 * DAY
    await graph.send({**EVENT, "event_time": NOW})
    assert graph.desk.taken == {("meta", "evt-1"): 3}


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_members_enter_and_leave(graph: Graph, method: str) -> None:
    status, answer = await graph.call("/v26.0/6001/users", USERS, method)
    assert (status, answer["audience_id"]) == (200, "6001")
    assert (answer["num_received"], answer["num_invalid_entries"]) == (2, 0)
    entered = {("meta", "x1"): 1, ("meta", "x2"): 1}
    assert graph.desk.taken == (entered if method == "POST" else {})
    left = {("meta", Removal("6001", who)): 1 for who in ("x1", "x2")}
    assert graph.desk.removed == (left if method == "DELETE" else {})


async def test_a_row_that_is_not_hashed_is_invalid_and_the_others_are_taken(graph: Graph) -> None:
    payload = {"schema": ["EXTERN_ID", "EMAIL"], "data": [["x1", "ann"], ["x2", HASH], ["", ""]]}
    status, answer = await graph.call("/v26.0/6001/users", {"payload": payload})
    assert (status, answer["num_received"], answer["num_invalid_entries"]) == (200, 3, 2)
    assert graph.desk.taken == {("meta", "x2"): 1}


@pytest.mark.parametrize(
    "payload",
    [None, {"schema": ["EMAIL"]}, {"schema": ["NAME"], "data": [["a"]]},
     {"schema": [], "data": [[]]}, {"schema": ["EXTERN_ID"], "data": []},
     {"schema": ["EXTERN_ID"], "data": [["a", "b"]]}, {"schema": ["EXTERN_ID"], "data": ["a"]},
     {"schema": [[]], "data": [["a"]]},
     {"schema": ["EXTERN_ID"], "data": [["a"]] * 10_001}],
)  # fmt: skip
async def test_a_table_of_members_that_is_none(graph: Graph, payload: object) -> None:
    status, answer = await graph.call("/v26.0/6001/users", {"payload": payload})
    assert (status, answer["error"]["code"]) == (400, 100)
    assert not graph.desk.taken


async def test_ten_thousand_members(graph: Graph) -> None:
    payload = {"schema": ["EXTERN_ID"], "data": [[f"x{n}"] for n in range(10_000)]}
    assert (await graph.call("/v26.0/6001/users", {"payload": payload}))[0] == 200


async def test_too_many_changes_of_audiences_are_throttled(opened: Open) -> None:
    graph = await opened(audience_calls_an_hour=1)
    assert (await graph.call("/v26.0/6001/users", USERS))[0] == 200
    graph.now += 30 * 60
    response = await graph.client.post(
        "/v26.0/6001/users", json=USERS, headers={"Authorization": "Bearer meta-token"}
    )
    assert (await response.json())["error"]["code"] == 80003
    assert '"estimated_time_to_regain_access":30' in response.headers["X-Business-Use-Case-Usage"]
    graph.now += 30 * 60
    assert (await graph.call("/v26.0/6001/users", USERS))[0] == 200


@pytest.mark.parametrize("body", [None, [], "x", 5, {}])
async def test_a_body_that_is_no_object(graph: Graph, body: object) -> None:
    status, answer = await graph.call("/v26.0/1234/events", body)
    assert (status, answer["error"]["code"]) == (400, 100)


@pytest.mark.parametrize("event", [None, 5, [], {}, {**EVENT, "user_data": "x"},
                                   {**EVENT, "opt_out": 1}, {**EVENT, "event_id": []},
                                   {**EVENT, "event_time": "now"},
                                   {**EVENT, "action_source": ["website"]}])  # fmt: skip
async def test_an_event_that_is_none(graph: Graph, event: object) -> None:
    assert (await graph.fault(event))[0] == 100
