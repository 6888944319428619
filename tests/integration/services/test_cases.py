"""Cases on a real broker: the worker's loops, and the command that reports service events."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from sqlalchemy import insert, select
from typer.testing import CliRunner

from lethe.cli import app
from schemas.codec import decode, encode
from sinks.kafka import SAFE, consumer
from sinks.kafka_admin import create_topics
from sinks.ledger import tables
from streams import cases
from streams.settings import Settings, SettingsError
from streams.shared import Shared, now

PATIENCE = 60.0
POLICY = """
version = "test"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[authority]
name = "Example Authority"
address = "1 Example Square"
complaint = "You may complain to the authority."
[departments.events]
title = "Events"
contact = "events@www.example"
[services.gala-guests]
title = "Registration"
life_cycle = "registration"
departments = ["events"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["to have guests"]
group = "required"
[services.gala-guests.fields.email]
title = "E-mail"
kind = "email"
"""
COUNT = 300


@pytest.fixture
def shared(settings: Settings, tmp_path: Path) -> Shared:
    """Make settings with that policy, its topics and an empty ledger."""
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    kafka = settings.kafka.model_copy(update={"session_seconds": 6.0})
    create_topics(kafka.bootstrap, kafka.options, kafka.prefix, departments=["events"])
    return Shared(settings.model_copy(update={"policy": policy, "kafka": kafka}))


@contextmanager
def working(shared: Shared) -> Iterator[None]:
    stop = threading.Event()
    loops = [
        threading.Thread(target=each, args=(shared, stop), daemon=True)
        for each in cases.LOOPS.values()
    ]
    for each in loops:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in loops:
            each.join(PATIENCE)


def submit(shared: Shared, case_ids: list[str]) -> None:
    producer = Producer({"bootstrap.servers": shared.settings.kafka.bootstrap, **SAFE})
    for each in case_ids:
        form = {
            "case_id": each, "service": "gala-guests", "site": "shop.example", "group": "spring",
            "received_at": now(), "key_version": 1, "sealed": {"email": b"sealed"}, "settings": {},
        }  # fmt: skip
        value = encode("form_submission", form)
        producer.produce(shared.settings.topic(cases.SUBMISSIONS), value, each.encode())
    assert not producer.flush(PATIENCE)


def make_keys(shared: Shared, case_ids: list[str]) -> None:
    rows = [
        {"case_id": each, "department": "events", "wrapped": b"w", "made_at": 1}
        for each in case_ids
    ]
    with shared.ledger.transaction() as connection:
        connection.execute(insert(tables.case_keys), rows)


def states(shared: Shared) -> dict[str, str]:
    with shared.ledger.reading() as connection:
        query = select(tables.cases.c.case_id, tables.cases.c.state)
        return {row.case_id: row.state for row in connection.execute(query)}


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def sent(shared: Shared, topic: str, record: str) -> list[dict[str, Any]]:
    """Read a topic to its end."""
    kafka = shared.settings.kafka
    reader = consumer(kafka.bootstrap, f"{kafka.prefix}test{now()}", kafka.options)
    reader.subscribe([shared.settings.topic(topic)])
    found, quiet_at = [], time.monotonic() + 10
    while time.monotonic() < quiet_at:
        for message in reader.consume(1_000, 0.5):
            found.append(decode(record, message.value()))
            quiet_at = time.monotonic() + 1
    reader.close()
    return found


def test_a_closing_reported_by_command_ends_every_registration(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over a full replay, and with an event that comes before its submission."""
    for name, value in shared.settings.environment().items():
        monkeypatch.setenv(name, value)
    names = [f"guest-{number}" for number in range(COUNT)]
    early = "guest-early"
    make_keys(shared, [*names, early])
    lethe = CliRunner()
    report = ("service-event", "cancelled", "--service", "gala-guests", "--case", early)
    assert lethe.invoke(app, report).exit_code == 0
    submit(shared, names)
    with working(shared):
        until(lambda: len(states(shared)) == COUNT)
        submit(shared, [early])
        until(lambda: states(shared).get(early) == "ended")
        report = ("service-event", "event_over", "--service", "gala-guests", "--group", "spring")
        done = lethe.invoke(app, (*report, "--watch"))
        assert (done.exit_code, f"{COUNT} cases changed" in done.output) == (0, True)
        assert set(states(shared).values()) == {"ended"}
        late = lethe.invoke(app, (*report, "--watch"))
        assert (late.exit_code, "refused" in late.output) == (1, True)
    before = told(shared)
    assert before == (COUNT + 1, COUNT + 1, ["case_ended"])
    read_again(shared, monkeypatch)
    assert told(shared) == before
    assert set(states(shared).values()) == {"ended"}


def test_a_service_that_has_cases_cannot_leave_the_policy(shared: Shared) -> None:
    make_keys(shared, ["guest"])
    submit(shared, ["guest"])
    with working(shared):
        until(lambda: "guest" in states(shared))
    policy = Path(str(shared.settings.policy))
    policy.write_text(POLICY.replace("gala-guests", "others"))
    for loop in cases.LOOPS.values():
        with pytest.raises(SettingsError, match="missing: gala-guests"):
            loop(Shared(shared.settings), threading.Event())


def told(shared: Shared) -> tuple[int, int, list[str]]:
    return (
        len(sent(shared, "cases-events", "case")),
        len(sent(shared, "notices", "notice")),
        [each["reason"] for each in sent(shared, "dead-letters", "dead_letter")],
    )


def read_again(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything read from the first offset, by readers that remember nothing."""
    positions = tables.positions
    with shared.ledger.transaction() as connection:
        ends = set(connection.execute(select(positions)).all())
        connection.execute(positions.delete())
    usual = Shared.consumer
    monkeypatch.setattr(Shared, "consumer", lambda self, name: usual(self, f"{name}-again"))

    def all_read() -> bool:
        with shared.ledger.reading() as connection:
            return set(connection.execute(select(positions)).all()) == ends

    with working(shared):
        until(all_read)
