"""What people ask is obeyed while their data keep coming, on real engines (S17, S20, S21).

Publishers send events, consents and forms all the time. What must be 0 is looked for where it would
be: at the provider, in the statistics' facts, with departments and holders, and on every disk.
"""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from sqlalchemy import update

from lethe.local.engines import Engines
from sinks.clickhouse.connect import connect
from sinks.kafka import consumer
from sinks.ledger import tables
from streams.rights.visitors import LATE_MS
from streams.shared import Shared
from streams.status import come_to
from tests.aside import searched
from tests.integration.rights.office import ON_KAFKA, Ask, Office, Way
from tests.integration.topics import configure
from tests.waiting import until
from tests.words import Words, spellings

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse, ON_KAFKA]

ADS = "ads-audiences"


class Person:
    """Somebody with an address and a cookie, whose things keep coming."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.mark = f"m{secrets.token_hex(8)}"
        self.email, self.visitor = f"{self.mark}@example.com", f"{self.mark}-visitor"
        self.epoch = office.choose(self.visitor, "given", ADS)
        self.events: list[str] = []
        self.cases: list[str] = []

    def act(self) -> None:
        """Visit a page, choose and fill in a form."""
        self.events.append(self.office.visit(self.visitor, self.epoch))
        self.office.choose(self.visitor, "given", "recommendations")
        self.cases.append(
            self.office.submit(
                "information-request", fields={"email": self.email, "question": self.mark}
            )
        )

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Act all the time from another thread; its failure fails the test."""
        stop, failures = threading.Event(), list[BaseException]()

        def go_on() -> None:
            try:
                while not stop.wait(0.3):
                    self.act()
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if failures:
            raise failures[0]

    def request(self, right: str, **more: Any) -> Ask:
        """Return a request by both, address and cookie."""
        return Ask(Way.HTTP, right, {"email": self.email, "cookie_id": self.visitor, **more})


class Facts:
    """What ClickHouse has of events."""

    def __init__(self, office: Office) -> None:
        self._admin = connect(office.settings.clickhouse, "admin", office.settings.secrets)

    def of(self, table: str, events: list[str]) -> set[str]:
        """Return which of these events a table holds."""
        found = self._admin.query(f"SELECT event_id FROM {table} FINAL")
        return {str(each) for (each,) in found} & {*events}


@pytest.fixture
def facts(office: Office) -> Iterator[Facts]:
    made = Facts(office)
    for table in ("facts", "facts_held"):
        made._admin.execute(f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 0")
    yield made
    made._admin.close()


def delivered(office: Office) -> set[str]:
    """Return the events that the provider took."""
    return {event_id for _, event_id in office.desk.taken}


def settled(office: Office, neighbour: Person) -> None:
    """Wait until what a neighbour does now has come everywhere: so would all from before it."""
    before = len(neighbour.events)
    neighbour.act()
    mine, case_id = neighbour.events[before], neighbour.cases[-1]
    until(lambda: mine in delivered(office), "the neighbour's visit at the provider")
    until(lambda: case_id in office.sees("customer-care"), "the neighbour's question")


def test_s21_nothing_is_done_under_a_restriction_and_all_that_waited_after(
    office: Office, facts: Facts
) -> None:
    person, neighbour = Person(office), Person(office)
    person.act()
    (first,), (known,) = person.events, person.cases
    until(lambda: first in delivered(office), "the first visit at the provider")
    until(lambda: facts.of("facts", person.events), "the first visit to be loaded")
    fields = office.sees_in("customer-care", known, "open").fields
    office.crm.keep(known, fields)
    with person.going_on():
        (held,) = office.exercise(person.request("restriction", ground="accuracy_contested"))
        assert held.verdict == "granted"
        settled(office, neighbour)
        removed = office.desk.removed.total()
        begun = len(person.events), len(person.cases)
        office.report("answered", "information-request", case=known)
        until(lambda: len(person.cases) > begun[1] + 2, "traffic")
        settled(office, neighbour)
    events, cases = person.events[begun[0] :], person.cases[begun[1] :]
    until(lambda: neighbour.events[-1] in facts.of("facts", neighbour.events), "what is counted")
    assert not delivered(office) & {*events}, "delivered"
    assert not facts.of("facts", [first, *events]), "aggregated"
    assert first in facts.of("facts_held", [first]), "stored"
    assert not office.sees("customer-care").keys() & {*cases}, "processed"
    assert set(office.asks("customer-care", [known, *cases]).values()) == {None}
    assert not office.deletions(known), "deleted"
    assert known not in office.crm.contacts(), "used by a holder"
    assert office.desk.removed.total() == removed, "removed"

    (lifted,) = office.exercise(person.request("lifting"))
    acts = [each["act"] for each in lifted.steps]
    assert acts[0] == "notify_lifting"
    office.letter(Way.HTTP, lifted.request_id, "lifting")
    assert office.certified(known)["cause"] == "answered", "what waited is done"
    until(lambda: {*cases} <= office.sees("customer-care").keys(), "cases of the time to be told")
    after = office.visit(person.visitor, person.epoch)
    until(lambda: after in delivered(office), "ads to go on")


def test_s20_nothing_is_found_of_who_was_erased_during_traffic(
    office: Office, facts: Facts, engines: Engines
) -> None:
    person, neighbour = Person(office), Person(office)
    everywhere = [office.folder, engines.settings.data_dir / "clickhouse"]
    if os.environ.get("LETHE_TEST_BROKER", "embedded") == "embedded":
        # Apache Kafka removes deleted records with their segments: it takes longer than a test may.
        everywhere[1] = engines.settings.data_dir
    marks = Words(spellings(person.mark))
    person.act()
    first, known = person.events[0], person.cases[0]
    until(lambda: first in delivered(office), "the first visit at the provider")
    until(lambda: facts.of("facts", [first]), "the first visit to be loaded")
    office.crm.keep(known, office.sees_in("customer-care", known, "open").fields)
    found = {Path(path).name for path, *_ in searched(everywhere, marks).hits}
    known_to = {"crm.db", "crm.db-wal", "ledger.db", "ledger.db-wal"}
    assert known_to & found, "it would be found"
    with person.going_on():
        before = len(person.cases)
        (done,) = office.exercise(person.request("erasure", ground="consent_withdrawn"))
        assert done.verdict == "granted"
    late = [office.visit(person.visitor, person.epoch) for _ in range(3)]
    office.choose(person.visitor, "given", ADS)
    late += [office.visit(person.visitor, person.epoch)]
    settled(office, neighbour)
    until(lambda: neighbour.events[-1] in facts.of("facts", neighbour.events), "what is counted")
    assert not delivered(office) & {*late}
    assert not facts.of("facts", late)
    for case_id in person.cases[:before]:
        assert office.certified(case_id)["cause"] == "erasure"
    until(lambda: not facts.of("facts", person.events), "what was loaded late to be deleted")

    for case_id in person.cases[before:]:  # of after the erasure, or ended by it
        office.report("answered", "information-request", case=case_id)
    a_day_later(office, done.request_id)
    expire(office)
    until(
        lambda: not searched(everywhere, marks).hits,
        lambda: f"all traces to go: {sorted(searched(everywhere, marks).hits)}",
    )


def test_s17_an_objection_is_obeyed_during_traffic(office: Office) -> None:
    person, neighbour = Person(office), Person(office)
    letters = office.submit("newsletter", fields={"email": person.email})
    person.act()
    until(lambda: person.events[0] in delivered(office), "the first visit at the provider")
    with person.going_on():
        (done,) = office.exercise(person.request("objection", ground="direct_marketing"))
        begun = len(person.events) + 1  # one may be on its way
        until(lambda: len(person.events) > begun + 2, "traffic")
    assert done.verdict == "granted"
    settled(office, neighbour)
    assert not delivered(office) & {*person.events[begun:]}
    assert office.certified(letters)["cause"] == "unsubscribed"


def a_day_later(office: Office, request_id: str) -> None:
    """Let the day pass for which late events are held back, and what is kept meanwhile."""
    done_at = tables.request_commands.c.done_at
    mine = tables.request_commands.c.request_id == request_id
    with office.ledger.transaction() as connection:
        connection.execute(
            update(tables.request_commands).where(mine).values(done_at=done_at - 2 * LATE_MS)
        )
        connection.execute(
            update(tables.requests)
            .where(tables.requests.c.request_id == request_id)
            .values(due_at=0)
        )
        changed = tables.consent_changes
        connection.execute(update(changed).values(occurred_at=changed.c.occurred_at - 2 * LATE_MS))
        asked = tables.visitor_facts
        ago = {name: asked.c[name] - 2 * LATE_MS for name in ("asked_at", "done_at")}
        connection.execute(update(asked).values(ago))
    until(
        lambda: all(each["done_at"] for each in office.shown(request_id)["steps"]),
        lambda: f"the visitor to be forgotten: {office.shown(request_id)}",
    )


def expire(office: Office) -> None:
    """Delete what topics hold now, as the broker does when it is as old as they say."""
    kafka = office.settings.kafka
    state = office.settings.topic("consent-state")
    configure(kafka.bootstrap, {state: {"cleanup.policy": "compact,delete"}})
    client = consumer(kafka.bootstrap, "ends", kafka.options)
    places = [
        TopicPartition(office.settings.topic(name), each)
        for name in ("tracking-events", "consent-changes", "consent-state", "ads-meta")
        for each in client.list_topics(office.settings.topic(name))
        .topics[office.settings.topic(name)]
        .partitions
    ]
    for each in places:
        each.offset = client.get_watermark_offsets(each)[1]
    client.close()
    lane = ("consent", "consent-changes")

    def left() -> int:
        ((end, read),) = come_to(Shared(office.settings).places, kafka.prefix, [lane]).values()
        return end - read

    until(lambda: left() == 0, "the lane to know of whom it has to forget")
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for deleted in admin.delete_records(places).values():
        deleted.result(30)
