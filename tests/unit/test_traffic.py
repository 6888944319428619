"""The made-up traffic looks like traffic, and the simulator sends it with good manners."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import typer
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from lethe import simulation
from lethe.cli import simulate
from lethe.simulation import MOST_AT_ONCE, Summary, UnreachableError, run
from lethe.traffic import BOT_AGENTS, HOUR_MS, Hit, Traffic
from privacy.durations import DAY_MS
from privacy.tracking import problems
from sinks.user_agents import parse

START = 20_000 * DAY_MS
SITES = ("shop.example", "news.example", "jobs.example")
DOCUMENTATION = [
    ip_network(each)
    for each in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
PLACES = [
    ("192.0.2.0/24", "NL", "Amsterdam"),
    *[(f"2001:db8:{number:x}::/48", "DE", f"City {number}") for number in range(1, 40)],
]


def traffic(seed: int = 1, start: int = START, events: int = 20_000, **more: Any) -> Traffic:
    return Traffic(seed, SITES, PLACES, start=start, end=start + DAY_MS, events=events, **more)


@pytest.fixture(scope="module")
def day() -> list[Hit]:
    return list(traffic())


@pytest.fixture(scope="module")
def good(day: list[Hit]) -> list[dict[str, Any]]:
    return [hit.event for hit in day if not hit.junk]


def test_the_same_arguments_give_the_same_traffic() -> None:
    assert list(traffic(events=300)) == list(traffic(events=300))
    assert list(traffic(events=300)) != list(traffic(seed=2, events=300))


def test_another_day_brings_other_events() -> None:
    """Else the second run would be taken for the first one sent again."""
    one, other = (
        {hit.event["event_id"] for hit in traffic(start=start, events=300) if not hit.junk}
        for start in (START, START + DAY_MS)
    )
    assert not one & other


def test_honest_events_fit_the_contract_and_junk_does_not(day: list[Hit]) -> None:
    for hit in day:
        assert bool(problems(hit.event, START + DAY_MS, DAY_MS)) == hit.junk


def test_as_many_as_wanted_in_the_order_of_their_time(
    day: list[Hit], good: list[dict[str, Any]]
) -> None:
    times = [event["occurred_at"] for event in good]
    assert len(day) == len(traffic()) == 20_000
    assert times == sorted(times)
    assert START <= times[0] <= times[-1] < START + DAY_MS


def test_undated_events_leave_the_time_to_the_collector() -> None:
    assert all(
        hit.event["occurred_at"] is None for hit in traffic(events=300, dated=False) if not hit.junk
    )


def test_shares_of_robots_junk_and_kinds(day: list[Hit], good: list[dict[str, Any]]) -> None:
    kinds = Counter(event["type"] for event in good)
    robots = [event for event in good if parse(event["user_agent"]).bot]
    located = [event for event in good if event.get("location_consent")]
    assert 0.06 < len(robots) / len(day) < 0.10
    assert {event["user_agent"] for event in robots} == set(BOT_AGENTS)
    assert not any("cookie_id" in event for event in robots)
    assert 0.01 < sum(hit.junk for hit in day) / len(day) < 0.03
    assert set(kinds) == {"page_view", "search", "click", "error", "custom"}
    assert kinds["page_view"] > 0.6 * len(good)
    assert located
    assert {hit.site for hit in day} == set(SITES)


def test_visitors_return(good: list[dict[str, Any]]) -> None:
    sessions = defaultdict(set)
    for event in good:
        if "cookie_id" in event:
            sessions[event["cookie_id"]].add(event["session_id"])
    assert 1.3 < sum(map(len, sessions.values())) / len(sessions) < 2.5
    assert max(map(len, sessions.values())) >= 4


def test_some_cities_are_too_small_to_be_shown(good: list[dict[str, Any]]) -> None:
    visitors = defaultdict(set)
    for event in good:
        packed = ip_address(event["ip"]).packed
        visitors[packed[:-1] if len(packed) == 4 else packed[:6]].add(event.get("cookie_id"))
    sizes = sorted(map(len, visitors.values()))
    assert 5 <= sum(size < 10 for size in sizes) <= 20
    assert len(sizes) == len(PLACES)
    assert sizes[-1] > 20 * sizes[20]


def test_nights_are_quiet(good: list[dict[str, Any]]) -> None:
    hours = Counter(event["occurred_at"] // HOUR_MS % 24 for event in good)
    assert 5 * hours[3] < hours[20]


def test_only_addresses_for_documentation(good: list[dict[str, Any]]) -> None:
    for address in {event["ip"] for event in good}:
        assert any(ip_address(address) in network for network in DOCUMENTATION)


class Stub:
    """A collector that holds requests to the contract, after giving the ``first`` answers."""

    def __init__(self, *first: web.Response | None) -> None:
        self.first = list(first)
        self.bodies: list[Any] = []
        self.stored: list[str] = []
        self.keys: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as told, then as the contract wants it."""
        body = json.loads(await request.read())
        self.bodies.append(body)
        self.keys.add(request.headers["X-Lethe-Key"])
        if self.first:
            answer = self.first.pop(0)
            if answer is None:
                assert request.transport
                request.transport.close()
                return web.Response()
            return answer
        events = body if isinstance(body, list) else [body]
        found = [each for event in events for each in problems(event, START + DAY_MS)]
        if found:
            named = [{"index": 0, "field": each.field, "rule": each.rule} for each in found]
            return web.json_response({"error": "refused", "problems": named}, status=422)
        self.stored += [event["event_id"] for event in events]
        return web.json_response({"accepted": len(events)}, status=202)


Send = Callable[..., Awaitable[Summary]]


@pytest.fixture
async def send() -> Send:
    """Run a simulation against a stub."""

    async def send(stub: Stub, hits: Traffic, **more: Any) -> Summary:
        app = web.Application()
        app.router.add_post("/v1/events", stub.answer)
        async with TestServer(app) as server:
            keys = {site: f"key of {site}" for site in SITES}
            return await run(str(server.make_url("")), hits, keys, **{"rate": 1e6} | more)

    return send


def ids(hits: Traffic) -> list[str]:
    return sorted(hit.event["event_id"] for hit in hits if not hit.junk)


async def test_every_honest_event_is_accepted_once_and_all_junk_refused(send: Send) -> None:
    stub, hits = Stub(), traffic(events=5_000)
    summary = await send(stub, hits)
    assert sorted(stub.stored) == ids(hits)
    assert summary.accepted == len(stub.stored)
    assert summary.refused.total() == sum(hit.junk for hit in hits)
    assert summary.sent == 5_000
    assert summary.refused["user_id is refused: tracking is never linked to a user"]
    assert summary.refused["colour is not a field of tracking events"]
    assert None in stub.bodies
    assert stub.keys == {f"key of {site}" for site in SITES}
    assert max(len(body) for body in stub.bodies if isinstance(body, list)) == MOST_AT_ONCE
    assert max(len(json.dumps(body)) for body in stub.bodies) < 65_536


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=429, headers={"Retry-After": "0"}),
        lambda: web.Response(status=503, headers={"Retry-After": "0"}),
        lambda: web.Response(status=503),
        lambda: None,
    ],
    ids=["too many", "not stored", "not stored, no advice", "cut off"],
)
async def test_what_was_not_stored_is_sent_again_as_it_was(
    send: Send, answer: Callable[[], web.Response | None]
) -> None:
    stub, hits = Stub(answer(), answer()), traffic(events=200)
    summary = await send(stub, hits)
    assert sorted(stub.stored) == ids(hits)
    assert summary.retries == 2
    assert stub.bodies[0] == stub.bodies[1] == stub.bodies[2]


async def test_it_waits_as_long_as_it_is_told(send: Send) -> None:
    """However long that is: a collector that answers is not gone."""
    stub = Stub(web.Response(status=429, headers={"Retry-After": "0.3"}))
    summary = await send(stub, traffic(events=10), patience=0.2)
    assert summary.seconds > 0.3


async def test_it_gives_up_when_nobody_answers() -> None:
    seen: list[Summary] = []
    with pytest.raises(UnreachableError, match="no answer from the collector"):
        await run(
            "http://127.0.0.1:1",
            traffic(events=10),
            dict.fromkeys(SITES, "key"),
            rate=1e6,
            patience=0.2,
            on_progress=seen.append,
        )
    assert not seen


async def test_it_keeps_to_the_rate(send: Send) -> None:
    summary = await send(Stub(), traffic(events=100), rate=400)
    assert summary.seconds > 0.2
    assert summary.rate < 500


async def test_who_interrupts_it_has_the_summary(send: Send) -> None:
    seen: list[Summary] = []
    begun = asyncio.Event()

    def show(summary: Summary) -> None:
        seen.append(summary)
        begun.set()

    task = asyncio.ensure_future(send(Stub(), traffic(events=1_000), rate=200, on_progress=show))
    async with asyncio.timeout(10):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 < seen[-1].sent < 1_000


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UnreachableError("no answer"), None])
def test_the_command_ends_with_what_the_collector_said(
    monkeypatch: pytest.MonkeyPatch, error: BaseException | None
) -> None:
    async def fake(url: str, hits: Traffic, keys: dict[str, str], **more: Any) -> None:
        assert url == "http://collector.example"
        assert keys == {"shop.example": "demo-shop-key", "www.example": "demo-www-key"}
        assert (len(hits), hits.dated) == (7, True)
        more["on_progress"](Summary(accepted=5, refused=Counter({"page is bad": 2}), seconds=1))
        if error:
            raise error

    monkeypatch.setattr(simulation, "run", fake)
    monkeypatch.setenv("LETHE_CONFIG", "none.toml")
    arguments = ["--events", "7", "--day", "yesterday", "--url", "http://collector.example"]
    result = CliRunner().invoke(simulate.command, arguments)
    assert result.exit_code == (1 if isinstance(error, UnreachableError) else 0)
    for word in ("accepted", "5", "refused: page is bad", "2"):
        assert word in result.output


@pytest.mark.parametrize("text", ["", "0", "-1s", "5d", "1h30m", "1e9"])
def test_a_time_must_be_one(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        simulate._seconds(text)


def test_times_have_units() -> None:
    assert [simulate._seconds(each) for each in ("90", "90s", "1.5m", "2h")] == [90, 90, 90, 7200]


@pytest.mark.parametrize("text", ["tomorrow", "2026-02-30", "9999-12-31"])
def test_a_day_must_be_one_that_has_come(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        simulate._day(text)


def test_a_day_is_whole_and_today_ends_now() -> None:
    now = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
    midnight = round(datetime(2026, 11, 24, tzinfo=UTC).timestamp() * 1000)
    assert simulate._span(date(2026, 11, 23), now) == (midnight - DAY_MS, midnight)
    assert simulate._span(date(2026, 11, 24), now) == (midnight, midnight + 45_000_000)
