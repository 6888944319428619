"""Traffic of a visitor during a restriction, and after an erasure, on real engines (S20, S21).

What must be 0 meanwhile: events of the visitor at any provider, in the statistics' facts, removed
or deleted. What a neighbour does goes on.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from sqlalchemy import select

from lethe.audit.openers import readings
from privacy.consent import ERASURE, RESERVED, RESTRICTION, Decision
from privacy.rights.plan import Act, Command
from privacy.rights.request import Asked, Right
from sinks.clickhouse.visitors import ClickHouseFacts
from sinks.consent_barrier import Consents
from sinks.kafka import consumer
from sinks.ledger import outbox, tables
from sinks.ledger.requests import Request, State
from sinks.salts import Salts
from streams import ads, wiring
from streams.lanes.ledgered import publish
from streams.rights.doing import Doing, Done, Later
from streams.rights.facts import FactsLoop
from streams.rights.visitors import LATE_MS, VisitorActs
from streams.settings import Settings
from streams.shared import Shared, now
from tests.aside import below

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse]

SITE, HELD, FREE = "shop.example", "anne", "bert"
PARTS = {**ads.LOOPS, "anonymise": wiring.anonymise, "load": wiring.load}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Make leases that nobody here overruns: the dispatcher whom it would end is this process."""
    return settings.model_copy(
        update={"ads": settings.ads.model_copy(update={"lease_seconds": 10.0})}
    )


class Rights:
    """Does steps about a visitor as the engine does, and what they ask of ClickHouse."""

    def __init__(self, settings: Settings) -> None:
        self.shared = Shared(settings)
        self.admin = self.shared.clickhouse("admin")
        facts = ClickHouseFacts(self.shared.clickhouse("eraser"))
        salts = Salts.under(settings.data_dir)
        # By a clock that is ahead: nothing waits for lanes to settle.
        self.loop = FactsLoop(self.shared.ledger, facts, salts, lambda: now() + 3_600_000)
        self._acts = VisitorActs(self.shared.known_policy, settings.topic).handlers()
        self._producer = self.shared.producer("rights")

    def step(self, act: Act, request_id: str, after_ms: int = 0) -> Done | Later:
        """Do a step, ``after_ms`` from now by its own clock."""
        asked = Asked(Right.ERASURE, None, None, SITE, HELD, "en", None, (), {}, None, None, "t")
        request = Request(
            request_id, Right.ERASURE, None, SITE, "en", None, True, State.PLANNED, now(), now(),
            None,
        )  # fmt: skip
        doing = Doing(request, asked, b"", Command(act), 1, now() + after_ms)
        with self.shared.ledger.transaction() as connection:
            came = self._acts[act](connection, doing)
            if isinstance(came, Done):
                outbox.append(connection, "rights", came.messages)
        publish(self.shared.ledger, self._producer, "rights", "rights", 0)
        return came

    def done(self, act: Act, request_id: str) -> bool:
        self.loop.turn()
        return isinstance(self.step(act, request_id), Done)

    def events(self, table: str) -> set[str]:
        return {each for (each,) in self.admin.query(f"SELECT event_id FROM {table} FINAL")}

    def recorded(self, purpose: str) -> bool:
        """Tell whether the consent lane knows a change of this purpose."""
        query = select(tables.consent_changes.c.purpose)
        with self.shared.ledger.reading() as connection:
            return purpose in connection.scalars(query).all()

    def effective(self, purpose: str) -> bool:
        """Tell whether a right's beginning is settled: each dispatcher has passed it."""
        withdrawn = tables.withdrawals.c
        query = select(withdrawn.effective_at).where(withdrawn.purpose == purpose)
        with self.shared.ledger.reading() as connection:
            found = connection.scalars(query).all()
        return bool(found) and None not in found

    def delivered(self) -> set[str]:
        with self.shared.ledger.reading() as connection:
            return set(connection.scalars(select(tables.deliveries.c.event_id)))


@contextmanager
def running(shared: Shared) -> Iterator[None]:
    """Run the lanes and one dispatcher in threads; a loop's failure fails the test."""
    stop, failures = threading.Event(), list[BaseException]()

    def run(part: Callable[[Shared, threading.Event], None]) -> None:
        try:
            part(shared, stop)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    parts = [*PARTS.values(), ads.deliveries(shared)["deliver-meta"]]
    threads = [threading.Thread(target=run, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    if failures:
        raise failures[0]
    assert not any(each.is_alive() for each in threads)


@pytest.fixture
def rights(settings: Settings, database: None) -> Iterator[Rights]:
    assert database is None
    made = Rights(settings)
    with running(made.shared):
        yield made
    made.shared.consents.close()
    made.shared.ledger.close()


@pytest.fixture
def visit(visitors: Any) -> Callable[[str, int], str]:
    """Send a page view whose daily hash the lane makes, as of one from a server; return its id."""

    def send(visitor: str, epoch: int) -> str:
        event = {**visitors.event(visitor, epoch, "/thanks"), "visitor": None}
        visitors.send(event)
        return str(event["event_id"])

    return send


@pytest.mark.parametrize("erased", [False, True])
def test_nothing_is_done_with_a_visitor_under_a_right(
    rights: Rights,
    visitors: Any,
    visit: Callable[[str, int], str],
    standins: Any,
    until: Callable[..., None],
    erased: bool,
) -> None:
    begin = Act.ERASE_VISITOR if erased else Act.HOLD_VISITOR
    epochs = visitors.choose_all([HELD, FREE], Decision.GIVEN)
    first, hers = visit(HELD, epochs[HELD]), visit(FREE, epochs[FREE])

    def taken() -> set[str]:
        return {event_id for _, event_id in standins.desk.taken}

    until(lambda: {first, hers} <= taken(), "Meta to have the first visits")
    until(lambda: rights.events("facts") == {first, hers}, "both to be loaded")
    for table in ("facts", "facts_held"):
        rights.admin.execute(f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 0")

    rights.step(begin, "r-1")
    until(lambda: rights.effective(list(RESERVED)[erased]), "the right to be in force")
    removed = len(standins.desk.removed) if not erased else 0
    during = [visit(HELD, epochs[HELD]) for _ in range(5)]
    neighbours = [visit(FREE, epochs[FREE]) for _ in range(5)]
    until(lambda: {*neighbours} <= taken(), "Meta to have the neighbour's")
    until(lambda: rights.events("facts") >= {*neighbours}, "the neighbour's to be loaded")
    until(lambda: rights.done(begin, "r-1"), "the facts to be taken out")
    assert rights.events("facts") == {hers, *neighbours}
    assert not taken() & {*during}
    assert not rights.delivered() & {*during}

    if erased:
        assert not rights.events("facts_held")
        assert not _found(rights, first)
        return
    assert rights.events("facts_held") == {first}
    assert len(standins.desk.removed) == removed
    rights.step(Act.LIFT_VISITOR, "r-2")
    until(lambda: _lifted(rights), "the restriction to be over")
    after = visit(HELD, epochs[HELD])
    until(lambda: after in taken(), "Meta to have the visit after")
    rights.loop.turn()
    until(lambda: rights.events("facts") == {first, hers, *neighbours, after}, "all to count")
    assert not rights.events("facts_held")


def test_who_was_erased_is_forgotten_and_consents_are_known_without_them(
    rights: Rights, settings: Settings, visitors: Any, read_topic: Any, until: Callable[..., None]
) -> None:
    """Also when the changes that nobody's state tells of are deleted from their topic."""
    visitors.choose(HELD, Decision.GIVEN)
    rights.step(Act.ERASE_VISITOR, "r-1")
    until(lambda: rights.recorded(ERASURE), "the erasure")
    assert isinstance(rights.step(Act.FORGET_VISITOR, "r-1"), Later), "events may still come"
    assert isinstance(rights.step(Act.FORGET_VISITOR, "r-1", LATE_MS), Done)
    kafka = settings.kafka
    key = f"{SITE}|{HELD}".encode()

    def last() -> Any:
        states = read_topic(kafka.bootstrap, settings.topic("consent-state"))
        return [each.value for each in states if each.key == key][-1:]

    until(lambda: last() == [None], "the tombstone")
    with rights.shared.ledger.reading() as connection:
        assert not connection.execute(select(tables.consents)).all()
        assert not connection.execute(select(tables.consent_changes)).all()
    client = consumer(kafka.bootstrap, "ends", {})
    places = [TopicPartition(settings.topic("consent-changes"), each) for each in range(4)]
    ends = [client.get_watermark_offsets(each, timeout=10)[1] for each in places]
    group = consumer(kafka.bootstrap, kafka.prefix + "consent", {})
    until(
        lambda: [max(each.offset, 0) for each in group.committed(places, timeout=10)] == ends,
        "the lane to have committed",
    )
    for each, end in zip(places, ends, strict=True):
        each.offset = end
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for done in admin.delete_records(places).values():
        done.result(30)
    fresh = Consents(kafka.bootstrap, {}, kafka.prefix, ["ads"])
    fresh.barrier(60)
    assert not fresh.withheld([key]).any()
    assert not fresh.given([key], "ads").any()
    for each in (fresh, client, group):
        each.close()


def _lifted(rights: Rights) -> bool:
    with rights.shared.ledger.reading() as connection:
        standings = connection.scalars(select(tables.consents.c.standings)).all()
    return any(
        each.get(RESTRICTION, {}).get("decision") == Decision.WITHDRAWN for each in standings
    )


def _found(rights: Rights, event_id: str) -> bool:
    """Tell whether an event is in any file of ClickHouse's tables."""
    folders = rights.admin.query(
        "SELECT arrayJoin(data_paths) FROM system.tables WHERE database = currentDatabase()"
        " AND name IN ('facts', 'facts_held')"
    )
    found = below(folder for (folder,) in folders)
    assert found
    return any(
        event_id.encode() in content
        for file, raw in found.items()
        for _, content in readings(file, raw)
    )
