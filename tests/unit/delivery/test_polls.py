"""Tickets: who is asked, how often, and what is written down when nobody answers."""

from collections.abc import Sequence
from typing import Any

import pytest

from privacy.outcome import Reason
from sinks.ads.contract import Outcome, Request, Response, Verdict
from sinks.ledger.deliveries import State
from streams.delivery.book import Ticket
from streams.delivery.clocks import Clocks
from streams.delivery.http import LostError
from streams.delivery.polls import ANSWER_BY_MS, SURE_SECONDS, Polls

MINUTE = 60_000


class Connector:
    name = "google-ads"
    answer: Outcome | None = None

    def build_poll(self, ticket: str) -> Request:
        return Request("GET", f"https://ads.example/{ticket}", b"")

    def read_poll(self, response: Response, count: int) -> Outcome | None:
        del response, count
        return self.answer


class Http:
    away = False

    async def send(self, _: object) -> Response:
        if self.away:
            raise LostError("TimeoutError", begun=True)
        return Response(200, {}, b"")


class Book:
    def __init__(self) -> None:
        self.judged: list[tuple[Sequence[str], State, Reason | None]] = []

    def judge(self, event_ids: Sequence[str], state: State, reason: Reason | None) -> None:
        self.judged.append((event_ids, state, reason))


class Rig:
    def __init__(self) -> None:
        self.now = 0
        self.ahead = 0  # milliseconds that the clock is wrong by
        self.connector, self.http, self.book = Connector(), Http(), Book()
        clocks = Clocks(lambda: self.now + self.ahead, lambda: self.now / 1000, lambda: "")
        connector: Any = self.connector
        book: Any = self.book
        self.polls = Polls(connector, book, clocks)

    async def ask(self, now: int) -> None:
        self.now = now
        http: Any = self.http
        await self.polls.ask(http, TICKET)


TICKET = Ticket("t-1", ["a", "b"], accepted_at=0)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_older_a_ticket_the_more_seldom_it_is_asked_about(rig: Rig) -> None:
    asked = 0
    for rig.now in range(0, 600 * MINUTE, MINUTE):
        for each in rig.polls.due([TICKET]):
            rig.polls._asked[each.id] = rig.now / 1000
            asked += 1
    assert 30 < asked < 80
    rig.polls.due([])
    assert not rig.polls._asked


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
async def test_a_wrong_clock_neither_waits_longer_nor_gives_up(rig: Rig, hours: int) -> None:
    rig.polls.due([TICKET])
    rig.ahead = hours * 60 * MINUTE
    await rig.ask(MINUTE)
    assert not rig.book.judged
    rig.ahead, rig.now = 0, 2 * MINUTE
    assert rig.polls.due([TICKET])


@pytest.mark.parametrize(
    ("verdict", "state", "reason"),
    [
        (Verdict.DELIVERED, State.DELIVERED, None),
        (Verdict.REFUSED, State.REFUSED, Reason.PROVIDER_REFUSED),
        (Verdict.UNCERTAIN, State.UNCERTAIN, Reason.PROVIDER_UNCERTAIN),
    ],
)
async def test_what_the_provider_says_is_written_down(
    rig: Rig, verdict: Verdict, state: State, reason: Reason | None
) -> None:
    rig.connector.answer = Outcome(verdict)
    await rig.ask(MINUTE)
    assert rig.book.judged == [(["a", "b"], state, reason)]


@pytest.mark.parametrize("away", [True, False])
async def test_a_day_without_a_verdict_is_uncertain(rig: Rig, *, away: bool) -> None:
    rig.http.away = away
    rig.polls.due([TICKET])
    await rig.ask(ANSWER_BY_MS)
    assert not rig.book.judged
    await rig.ask(ANSWER_BY_MS + 1)
    assert rig.book.judged == [(["a", "b"], State.UNCERTAIN, Reason.PROVIDER_UNCERTAIN)]


async def test_one_that_is_known_for_a_moment_is_not_given_up(rig: Rig) -> None:
    rig.now = 2 * ANSWER_BY_MS
    rig.polls.due([TICKET])
    await rig.ask(rig.now + int(SURE_SECONDS * 1000) - 1)
    assert not rig.book.judged
    await rig.ask(rig.now + 1)
    assert rig.book.judged


async def test_who_cannot_be_asked_now_is_asked_again(rig: Rig) -> None:
    rig.connector.answer = Outcome(Verdict.THROTTLED)
    await rig.ask(MINUTE)
    assert not rig.book.judged
