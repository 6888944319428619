"""One visitor's facts: erased, held and let go; the fake does what ClickHouse does."""

import secrets
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import pytest

from lethe.audit.openers import readings
from privacy.durations import DAY_MS
from privacy.pseudonym import Salt, visitor_hash
from sinks.clickhouse.client import Client
from sinks.clickhouse.connect import connect
from sinks.clickhouse.facts import FactsWriter
from sinks.clickhouse.migrate import Migrations
from sinks.clickhouse.statistics import Statistics
from sinks.clickhouse.visitors import ClickHouseFacts, Hashed, VisitorFacts, hashes
from sinks.clickhouse.visitors_memory import Fact, MemoryFacts
from streams.settings import Settings
from tests.aside import below
from tests.waiting import until

pytestmark = pytest.mark.clickhouse

SITE = "shop.example"
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
DAY = NOON.date()
ANNE, BERT = Hashed(SITE, DAY, 11), Hashed(SITE, DAY, 22)

Event = Callable[..., dict[str, Any]]


class Store(Protocol):
    """Visitors' facts, and what a test needs to see of them."""

    facts: VisitorFacts

    def put(self, whose: Hashed, event_id: str) -> None: ...
    def close(self, site: str, day: date) -> None: ...
    def counted(self) -> set[str]: ...
    def held(self) -> set[str]: ...


class InMemory:
    def __init__(self) -> None:
        self.facts = self._memory = MemoryFacts()

    def put(self, whose: Hashed, event_id: str) -> None:
        self._memory.counted.add(Fact(event_id, whose))

    def close(self, site: str, day: date) -> None:
        self._memory.closed.add((site, day))

    def counted(self) -> set[str]:
        return {each.event_id for each in self._memory.counted}

    def held(self) -> set[str]:
        return {each.event_id for held in self._memory.held.values() for each in held}


class InClickHouse:
    def __init__(self, client: Client, event: Event) -> None:
        self.facts = ClickHouseFacts(client)
        self._client, self._event = client, event

    def put(self, whose: Hashed, event_id: str) -> None:
        moment = NOON.replace(year=whose.day.year, month=whose.day.month, day=whose.day.day)
        row = self._event(
            event_id=event_id, site=whose.site, occurred_at=moment, visitor=whose.visitor
        )
        token = secrets.token_hex(6)
        self._client.insert_rows("facts", list(row), [list(row.values())], token=token)

    def close(self, site: str, day: date) -> None:
        self._client.execute(
            "INSERT INTO periods (site, day, revision) SELECT %(site)s, toDate(%(day)s), 1",
            {"site": site, "day": day.isoformat()},
        )

    def counted(self) -> set[str]:
        return {each for (each,) in self._client.query("SELECT event_id FROM facts")}

    def held(self) -> set[str]:
        return {each for (each,) in self._client.query("SELECT event_id FROM facts_held")}


@pytest.fixture(params=["memory", "clickhouse"])
def store(request: pytest.FixtureRequest, event: Event) -> Store:
    if request.param == "memory":
        return InMemory()
    return InClickHouse(request.getfixturevalue("admin"), event)


@pytest.fixture
def ids(store: Store) -> list[str]:
    """Three events: two of Anne's on two days, one of Bert's."""
    made = [f"{number:036}" for number in range(3)]
    before = ANNE._replace(day=DAY - timedelta(days=1))
    for whose, event_id in zip((ANNE, before, BERT), made, strict=True):
        store.put(whose, event_id)
    return made


BOTH = (ANNE, ANNE._replace(day=DAY - timedelta(days=1)))


def test_one_visitor_is_erased_and_no_other(store: Store, ids: list[str]) -> None:
    for _ in range(2):
        store.facts.erase(BOTH)
        assert store.counted() == {ids[2]}
    store.facts.erase([])
    assert store.counted() == {ids[2]}


def test_a_hold_takes_facts_out_of_what_is_counted(store: Store, ids: list[str]) -> None:
    for _ in range(2):
        store.facts.hold("hold-1", BOTH)
        assert store.counted() == {ids[2]}
        assert store.held() == {*ids[:2]}


def test_what_was_loaded_meanwhile_is_held_the_next_time(store: Store, ids: list[str]) -> None:
    store.facts.hold("hold-1", BOTH)
    late = f"{9:036}"
    store.put(ANNE, late)
    store.facts.hold("hold-1", BOTH)
    assert store.counted() == {ids[2]}
    assert store.held() == {*ids[:2], late}


def test_lifting_gives_back_what_can_still_be_counted(store: Store, ids: list[str]) -> None:
    store.facts.hold("hold-1", BOTH)
    store.facts.hold("hold-2", [BERT])
    store.close(SITE, DAY - timedelta(days=1))
    for _ in range(2):
        store.facts.release(["hold-1"])
        assert store.counted() == {ids[0]}
        assert store.held() == {ids[2]}
    store.facts.release([])


def test_what_is_held_can_be_erased(store: Store, ids: list[str]) -> None:
    store.facts.hold("hold-1", BOTH)
    for _ in range(2):
        store.facts.discard(["hold-1"])
        assert store.counted() == {ids[2]}
        assert not store.held()
    assert store.facts.discard([]) >= 0


def test_a_visitor_is_found_by_every_name_an_event_may_have_given(store: Store) -> None:
    salt, came = Salt(b"s" * 32), int(NOON.timestamp() * 1000) // DAY_MS
    for back in (-1, 0, 1, 6):
        day = DAY - timedelta(days=back)
        hashed = visitor_hash(salt, SITE, came - back, "c-1", None, None)
        store.put(Hashed(SITE, day, hashed), f"{back + 5:036}")
    store.facts.erase(hashes(SITE, "c-1", [(came, salt)]))
    assert not store.counted()
    assert not hashes(SITE, "c-1", [])


def test_a_mutation_that_somebody_stopped_is_done_again(
    admin: Client, another: Callable[[], Client], event: Event
) -> None:
    """Whoever drops a partition of a table stops what runs there."""
    store, stop = InClickHouse(admin, event), threading.Event()

    def drop() -> None:
        pause = 0.01  # and then more, or a machine that does much else never gets one done
        with another() as client:
            while not stop.wait(pause):
                client.execute("ALTER TABLE facts DROP PARTITION ID 'none'")
                pause *= 1.1

    dropper = threading.Thread(target=drop)
    dropper.start()
    try:
        for number in range(8):
            one = Hashed(SITE, DAY, number)
            store.put(one, f"{number:036}")
            store.facts.hold(f"hold-{number}", [one])
    finally:
        stop.set()
        dropper.join()
    assert not store.counted()


def test_no_byte_is_left_on_the_disk(admin: Client, event: Event) -> None:
    for table in ("facts", "facts_held"):
        admin.execute(f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 0")
    store, mark = InClickHouse(admin, event), secrets.token_hex(16)
    row = event(site=SITE, occurred_at=NOON, visitor=ANNE.visitor, page=f"/{mark}")
    for number, change in enumerate([{}, {"visitor": BERT.visitor, "page": "/other"}]):
        values = {**row, **change, "event_id": f"{number:036}"}
        admin.insert_rows("facts", list(values), [list(values.values())], token=f"t{number}")
    admin.execute("OPTIMIZE TABLE facts FINAL")
    store.facts.hold("hold-1", [ANNE])
    at = store.facts.discard(["hold-1"])
    store.facts.erase([ANNE])
    until(lambda: store.facts.gone(at), "it to be gone")
    paths = [
        path
        for (path,) in admin.query(
            "SELECT arrayJoin(data_paths) FROM system.tables"
            " WHERE database = currentDatabase() AND name IN ('facts', 'facts_held')"
        )
    ]
    content = below(paths)
    assert content
    assert len(store.counted()) == 1
    opened = [each for file, raw in content.items() for _, each in readings(file, raw)]
    assert not any(mark.encode() in each for each in opened)


def test_a_published_day_is_not_counted_again_without_one_visitor(
    admin: Client, statistics: Statistics, load_at: Callable[..., None], event: Event
) -> None:
    """Whoever compares two revisions must not see one visitor."""

    def moment() -> int:
        return int(datetime.now(UTC).timestamp() * 1000)

    events = [event(occurred_at=NOON, visitor=number) for number in range(1, 12)]
    load_at(events, datetime.now(UTC) - timedelta(minutes=5))
    assert list(statistics.close_ready(moment())) == [(SITE, DAY)]
    ClickHouseFacts(admin).erase([Hashed(SITE, DAY, number) for number in range(1, 9)])
    assert not list(statistics.reconcile(moment()))
    # Nor with those who come late.
    late = [event(occurred_at=NOON, visitor=number) for number in range(20, 40)]
    load_at(late, datetime.now(UTC) - timedelta(minutes=2))
    assert not list(statistics.close_ready(moment()))
    assert admin.query("SELECT late_events FROM periods FINAL") == [(20,)]


def test_a_day_closed_during_a_hold_counts_nobody_that_is_held(
    admin: Client, statistics: Statistics, load: Callable[..., None], event: Event
) -> None:
    load([event(occurred_at=NOON, visitor=number, country="") for number in range(1, 12)])
    ClickHouseFacts(admin).hold("hold-1", [Hashed(SITE, DAY, 1)])
    exact = statistics.before_suppression(SITE, DAY)
    assert exact["place"][()].visitors == 10


def test_the_eraser_may_do_all_of_it(settings: Settings, event: Event, columns: Any) -> None:
    with (
        connect(settings.clickhouse, "admin", settings.secrets) as admin,
        connect(settings.clickhouse, "writer", settings.secrets) as writer,
        connect(settings.clickhouse, "eraser", settings.secrets) as eraser,
    ):
        list(Migrations(admin, facts_hours=settings.statistics.facts_hours).apply())
        site = f"site-{secrets.token_hex(6)}.example"
        who = [Hashed(site, DAY, 1)]
        rows = [event(site=site, occurred_at=NOON, visitor=1)]
        FactsWriter(writer).write(columns(rows), f"{site}:0:0-0")
        facts = ClickHouseFacts(eraser)
        facts.hold(site, who)
        facts.release([site])
        facts.hold(site, who)
        facts.gone(facts.discard([site]))
        facts.erase(who)
        left = "SELECT count() FROM facts WHERE site = %(site)s"
        assert admin.query(left, {"site": site}) == [(0,)]


def test_a_visitor_reads_what_is_counted_and_what_is_held(store: Store, ids: list[str]) -> None:
    assert [each["event_id"] for each in store.facts.read(BOTH)] == [ids[1], ids[0]]
    store.facts.hold("hold-1", [ANNE])
    read = store.facts.read(BOTH)
    assert [each["event_id"] for each in read] == [ids[1], ids[0]]
    assert {each["site"] for each in read} == {SITE}
    assert [each["occurred_at"] // DAY_MS for each in read] == [
        (day - date(1970, 1, 1)).days for day in (DAY - timedelta(days=1), DAY)
    ]
    assert store.facts.read([]) == []
