"""The lane between a consumer in memory and a dispatcher that keeps what it is given."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from schemas.codec import encode
from sinks.kafka import NotStoredError
from sinks.ledger.ledger import LedgerError
from sinks.ledger.reached import Reached
from streams.delivery import lane
from streams.delivery.book import Ticket
from streams.delivery.clocks import Clocks
from streams.delivery.http import boottime
from streams.delivery.lane import DeliverLane
from streams.delivery.parcels import Item
from streams.delivery.removals import removal
from streams.egress import Egress
from streams.shared import now

TOPIC = "ads-meta"
EVENT = {
    "event_id": "5f3a7f0e-2a54-4c0d-9d2e-000000000001",
    "site": "shop.example",
    "cookie_id": "a",
    "occurred_at": 1_795_424_000_000,
    "consent_epoch": 1,
    "page": "https://shop.example/tea",
    "conversion": None,
    "audience": None,
    "member": True,
    "ids": {},
    "user_agent": None,
}


class Message:
    def __init__(self, partition: int, offset: int) -> None:
        self.place = TOPIC, partition, offset

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self.place[2]

    def timestamp(self) -> tuple[int, int]:
        return 2, now()

    def value(self) -> bytes:
        return encode("ad_event", EVENT)

    def error(self) -> None:
        return None


class Kafka:
    """A consumer of one group. As librdkafka's, what is paused stays so when it goes and comes."""

    def __init__(self, *partitions: int) -> None:
        self.waiting = {each: deque([Message(each, 0)]) for each in partitions}
        self.paused: set[int] = set()
        self.owned: set[int] = set()
        self.committed: list[TopicPartition] = []
        self.rebalances: deque[Sequence[int]] = deque([partitions])

    def subscribe(self, _: object, on_assign: Any, on_revoke: Any) -> None:
        self.on_assign, self.on_revoke = on_assign, on_revoke

    def consume(self, most: int, _: float) -> list[Message]:
        found = [self._next(each) for each in sorted(self._readable())[:most]]
        self._rebalance()
        return found

    def poll(self, _: float) -> Message | None:
        self._rebalance()
        return next((self._next(each) for each in self._readable()), None)

    def pause(self, places: Sequence[TopicPartition]) -> None:
        self.paused |= {each.partition for each in places}

    def resume(self, places: Sequence[TopicPartition]) -> None:
        self.paused -= {each.partition for each in places}

    def seek(self, place: TopicPartition) -> None:
        self.waiting[place.partition].appendleft(Message(place.partition, place.offset))

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, each) for each in self.owned]

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        assert not asynchronous
        self.committed += offsets

    def close(self) -> None:
        pass

    def _readable(self) -> list[int]:
        return [e for e in self.owned - self.paused if self.waiting[e]]

    def _next(self, partition: int) -> Message:
        return self.waiting[partition].popleft()

    def _rebalance(self) -> None:
        if self.rebalances:
            if self.owned:
                self.on_revoke(self, self.assignment())
            places = [TopicPartition(TOPIC, each) for each in self.rebalances.popleft()]
            self.on_assign(self, places)
            self.owned = {each.partition for each in places}


class Dispatcher:
    """Keeps what it was given; ``lasts`` says how long removals and events take, in seconds."""

    def __init__(self) -> None:
        self.given: list[tuple[bool, list[int]]] = []
        self.lasts: dict[bool, float] = {True: 0.0, False: 0.0}
        self.also: Callable[[bool], None] = lambda _: None

    async def keep(self, _: object) -> None:
        pass

    async def deliver(self, items: Sequence[Item], stopped: Callable[[], bool]) -> bool:
        removals = items[0].source is None
        self.given.append((removals, sorted(each.entry.partition for each in items)))
        self.also(removals)
        until = boottime() + self.lasts[removals]
        while boottime() < until:
            if stopped():
                return False
            await asyncio.sleep(0.01)
        return True


class Book:
    """Has one removal due, or is away."""

    def __init__(self) -> None:
        self.removals = 0
        self.away = False

    def due(self, _: Sequence[int], __: int) -> Sequence[Any]:
        if self.away:
            raise LedgerError("OperationalError")
        return [removal(Reached("id", 0, "shop.example", "a", None, {}, 1), now())] * self.removals

    def tickets(self, _: object) -> list[Ticket]:
        return []


@pytest.fixture
def dispatcher(monkeypatch: pytest.MonkeyPatch) -> Dispatcher:
    made = Dispatcher()
    monkeypatch.setattr(lane, "Dispatcher", lambda *_, **__: made)
    monkeypatch.setattr(lane, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(lane, "STAY_SECONDS", 0.02)
    return made


def run(
    kafka: Kafka,
    book: Book,
    enough: Callable[[], bool],
    seconds: float = 5.0,
    stored: Callable[[], None] = lambda: None,
) -> DeliverLane:
    connector = SimpleNamespace(name="meta", limits=SimpleNamespace(events=10))
    producer: Any = SimpleNamespace(stored=stored)
    clocks = Clocks(now, boottime, lambda: "nonce")
    made = DeliverLane(
        connector, "ads", TOPIC, "dead-letters", consumer=kafka, producer=producer,
        consents=None, book=book, clocks=clocks, patience_ms=1, lease=2.0,
        egress=Egress(frozenset()),
    )  # type: ignore[arg-type]  # fmt: skip
    until, stop = boottime() + seconds, threading.Event()
    stop.is_set = lambda: enough() or boottime() > until  # type: ignore[method-assign]
    made.run(stop)
    assert enough()
    return made


def test_what_was_delivered_is_committed(dispatcher: Dispatcher) -> None:
    kafka = Kafka(0, 1)
    run(kafka, Book(), lambda: len(kafka.committed) == 2)
    assert dispatcher.given == [(False, [0, 1])]
    assert all(each.offset == 1 for each in kafka.committed)


@pytest.mark.usefixtures("dispatcher")
def test_nothing_is_committed_before_its_dead_letters_are_stored() -> None:
    def fail() -> None:
        raise NotStoredError

    kafka = Kafka(0)
    with pytest.raises(NotStoredError):
        run(kafka, Book(), lambda: bool(kafka.committed), stored=fail)
    assert not kafka.committed


def test_removals_go_before_events(dispatcher: Dispatcher) -> None:
    kafka, book = Kafka(0), Book()
    book.removals = 1
    dispatcher.also = lambda removals: setattr(book, "removals", 0) if removals else None
    run(kafka, book, lambda: bool(kafka.committed))
    assert dispatcher.given == [(True, [0]), (False, [0])]


def test_removals_that_fail_hold_events_up_for_a_while_only(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "REMOVAL_SECONDS", 0.05)
    kafka, book = Kafka(0), Book()
    book.removals = 1
    dispatcher.lasts[True] = 60.0
    run(kafka, book, lambda: bool(kafka.committed))
    assert dispatcher.given == [(True, [0]), (False, [0])]
    assert book.removals, "and they are still due"


@pytest.mark.usefixtures("dispatcher")
def test_without_the_ledger_s_removals_events_are_tried_all_the_same() -> None:
    kafka, book = Kafka(0), Book()
    book.away = True
    run(kafka, book, lambda: bool(kafka.committed))


def test_a_partition_that_was_paused_when_it_went_away_is_read_when_it_comes_back(
    dispatcher: Dispatcher,
) -> None:
    kafka = Kafka(0, 1)
    dispatcher.lasts[False] = 0.2  # so that it pauses

    def away(_: bool) -> None:
        dispatcher.also = lambda _: None
        kafka.rebalances.append([0])
        threading.Timer(0.1, kafka.rebalances.append, [[0, 1]]).start()
        threading.Timer(0.15, lambda: dispatcher.lasts.update({False: 0.0})).start()
        kafka.waiting[1].append(Message(1, 5))

    dispatcher.also = away
    run(kafka, Book(), lambda: any(each.partition == 1 for each in kafka.committed))


def test_what_was_read_of_a_partition_that_went_away_meanwhile_is_not_sent(
    dispatcher: Dispatcher,
) -> None:
    kafka = Kafka(0, 1)
    kafka.rebalances.append([0])
    run(kafka, Book(), lambda: bool(kafka.committed))
    assert dispatcher.given == [(False, [0])]


def test_what_ends_the_watch_over_the_group_ends_the_lane(dispatcher: Dispatcher) -> None:
    """It would be thrown out of its group, and nobody would say so."""
    kafka = Kafka(0)
    dispatcher.lasts[False] = 60.0

    def broken(_: object) -> None:
        raise RuntimeError

    kafka.pause = broken  # type: ignore[method-assign]
    began = boottime()
    with pytest.raises(RuntimeError):
        run(kafka, Book(), lambda: False)
    assert boottime() < began + 3, "at once"
