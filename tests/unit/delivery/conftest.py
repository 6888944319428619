"""A dispatcher on a real ledger, with real HTTP to a stand-in, and consents in memory."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from sqlalchemy import select

from lethe.standins.desk import Desk
from lethe.standins.server import serving
from privacy.ads import AdEvent
from privacy.consent import Change, Decision
from privacy.outcome import Reject
from privacy.standings import Standings
from sinks.ads.contract import Connector
from sinks.ads.meta import Account, Meta
from sinks.consent_barrier import ConsentUnknownError
from sinks.ledger import consents, deliveries, dispatchers
from sinks.ledger.consents import ConsentChange
from sinks.ledger.deliveries import State
from sinks.ledger.dispatchers import Process
from sinks.ledger.ledger import Ledger
from sinks.ledger.tables import reached
from streams.delivery.book import Entry
from streams.delivery.clocks import Clocks
from streams.delivery.dispatch import Dispatcher
from streams.delivery.http import Http, boottime, connect
from streams.delivery.ledger_book import LedgerBook
from streams.delivery.parcels import Item
from streams.delivery.settle import settle
from streams.egress import Egress

SITE = "shop.example"
OTHER = "other.example"
AUDIENCE = "120000000000001"
HERE = Egress(frozenset({"127.0.0.1"}), clear=True)


class Undoing(Meta):
    """Meta with one removal for all that a visitor did."""

    def removal(self, event: AdEvent) -> AdEvent | None:
        return replace(event, page=None, user_agent=None, ids={}, audience=AUDIENCE, member=False)


class Message:
    """Where an event lies."""

    def topic(self) -> str:
        return "ads-meta"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 0

    def timestamp(self) -> tuple[int, int]:
        return 2, now()

    def value(self) -> bytes | None:
        return None


class Choices:
    """Consents in memory; ``change`` is acknowledged at once and known after the next barrier."""

    def __init__(self) -> None:
        self.standings = Standings(["ads"])
        self.log: list[tuple[bytes, Change]] = []
        self.applied = 0
        self.away = False

    def change(
        self, visitor: str, decision: Decision, site: str = SITE, purpose: str = "ads"
    ) -> int:
        """Return the epoch of the change."""
        epoch = len(self.log) + 1
        change = Change(f"c{epoch}", purpose, decision, epoch)
        self.log.append((f"{site}|{visitor}".encode(), change))
        return epoch

    def barrier(self) -> Mapping[int, int]:
        if self.away:
            raise ConsentUnknownError("away")
        for visitor, change in self.log[self.applied :]:
            self.standings.apply(visitor, change)
        self.applied = len(self.log)
        return {0: self.applied, 1: 0}

    def refusals(
        self, visitors: Sequence[bytes | None], purpose: str, carried: np.ndarray
    ) -> np.ndarray:
        return self.standings.refusals(visitors, purpose, carried)

    def withheld(self, visitors: Sequence[bytes | None]) -> np.ndarray:
        return self.standings.withheld(visitors)


def now() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Rig:
    """What a test needs to deliver and to see what became of it."""

    desk: Desk
    url: str
    http: Http
    ledger: Ledger
    choices: Choices
    letters: list[Reject] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    boottime: Callable[[], float] = boottime
    message: Message = field(default_factory=Message)
    ahead: int = 0  # milliseconds that the dispatcher's clock is ahead of all others

    def choose(self, visitor: str, decision: Decision, site: str = SITE) -> int:
        """Change a consent, also in the ledger; return the epoch."""
        epoch = self.choices.change(visitor, decision, site)
        change = ConsentChange(
            site,
            visitor,
            epoch - 1,
            0,
            f"c{epoch}",
            "ads",
            decision,
            None,
            None,
            None,
            "gpc",
            1,
            now(),
        )
        with self.ledger.transaction() as connection:
            consents.record(connection, [change], ads={"ads"})
        return epoch

    async def settle(self, *, passed: bool = True) -> int:
        """Let withdrawals be effective, if the dispatcher has ``passed``; return how many."""
        if passed:
            await self.dispatcher()._gate.renew()
        here = dispatchers.here()
        return len(settle(self.ledger, here, now, lambda _: None, 60_000, tell=pytest.fail))

    def due(self) -> list[AdEvent]:
        book = LedgerBook(self.ledger, "meta", "ads", Process("one", "host", "boot", 1, 1), now)
        return [each.event for each in book.due((0,), 100)]

    def remembered(self) -> list[tuple[str, str, int]]:
        """Return site, visitor and epoch of what would be removed."""
        with self.ledger.reading() as connection:
            rows = connection.execute(select(reached.c.site, reached.c.visitor, reached.c.epoch))
            return sorted(tuple(row) for row in rows)

    async def remove(
        self, dispatcher: Dispatcher | None = None, seconds: float = 10.0, asking: int = 0
    ) -> bool:
        """Remove what is due; return whether that was done in time.

        The time is over when the provider was asked ``asking`` times as well.
        """
        items = [Item(Entry(each, 0)) for each in self.due()]
        until, before = boottime() + seconds, self.removals()
        dispatcher = dispatcher or self.dispatcher()
        return await dispatcher.deliver(
            items, lambda: boottime() > until and self.removals() >= before + asking
        )

    def removals(self) -> int:
        """Return how many times the provider was asked to remove somebody."""
        return sum(call.method == "DELETE" for call, _ in self.desk.calls)

    def event(self, visitor: str, epoch: int, **changes: object) -> AdEvent:
        number = next(self.numbers)
        content = {
            "event_id": f"5f3a7f0e-2a54-4c0d-9d2e-{number:012}",
            "site": SITE,
            "visitor": visitor,
            "occurred_at": now() - 1000,
            "epoch": epoch,
            "page": "https://shop.example/tea",
            "ids": {"fbp": "fb.1.1795424000000.123456789"},
            "user_agent": "Mozilla/5.0 (Example)",
        }
        return AdEvent(**{**content, **changes})  # type: ignore[arg-type]

    def connector(self) -> Meta:
        return Undoing(
            Account({SITE: "1234", OTHER: "5678"}, base_url=f"{self.url}/meta"),
            lambda: "meta-token",
        )

    def dispatcher(self, connector: Connector | None = None, name: str = "one") -> Dispatcher:
        connector = connector or self.connector()
        process = Process(name, "host", "boot", 1, 1)
        return Dispatcher(
            connector,
            "ads",
            self.choices,
            LedgerBook(self.ledger, connector.name, "ads", process, now),
            self.http,
            clocks=Clocks(lambda: now() + self.ahead, self.boottime, lambda: "nonce"),
            partitions=lambda: (0,),
            letter=lambda _, reject: self.letters.append(reject),
            patience_ms=3_600_000,
            lease=2.0,
        )

    async def deliver(
        self, *events: AdEvent, dispatcher: Dispatcher | None = None, came: int | None = None
    ) -> None:
        items = [Item(Entry(event, 0), Message(), came or now()) for event in events]
        assert await (dispatcher or self.dispatcher()).deliver(items, lambda: False)

    def states(self, provider: str = "meta") -> Counter[tuple[State, str]]:
        with self.ledger.reading() as connection:
            found = deliveries.counts(connection)
        counted: Counter[tuple[State, str]] = Counter()
        for kind, many in found.items():
            if kind.provider == provider:
                counted[kind.state, kind.reason or ""] += many
        return counted


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def rig(ledger: Ledger) -> AsyncIterator[Rig]:
    desk = Desk()
    async with (
        serving(desk, "127.0.0.1", 0) as url,
        connect(32, HERE, lambda: made.boottime()) as http,  # noqa: PLW0108 - a test may change it
    ):
        made = Rig(desk, url, http, ledger, Choices())
        yield made
