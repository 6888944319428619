"""Cases on a real broker: the worker's loops, and the command that reports service events."""

import threading
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
from sinks.kafka import SAFE
from sinks.kafka_admin import create_topics
from sinks.ledger import tables
from streams import cases
from streams.keys.prepare import prepare
from streams.policy import load as load_policy
from streams.settings import Settings, SettingsError
from streams.shared import Shared, now
from tests.waiting import PATIENCE

SERVICE = "event-registration"
COUNT = 300

ReadTopic = Callable[[str, str], list[Any]]
Eventually = Callable[..., Any]


@pytest.fixture
def shared(settings: Settings, policy_file: Path, tmp_path: Path) -> Shared:
    """Make settings with a policy to change, its department's topics and an empty ledger."""
    policy = tmp_path / "policy.toml"
    policy.write_text(policy_file.read_text())
    kafka = settings.kafka.model_copy(update={"session_seconds": 6.0})
    create_topics(kafka.bootstrap, kafka.options, kafka.prefix, departments=["events"])
    prepare(tmp_path / "secrets", load_policy(policy))
    update = {"policy": policy, "kafka": kafka, "secrets_dir": tmp_path / "secrets"}
    return Shared(settings.model_copy(update=update))


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
            "case_id": each, "service": SERVICE, "site": "shop.example", "group": "spring",
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


def test_a_closing_reported_by_command_ends_every_registration(
    shared: Shared, read_topic: ReadTopic, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over a full replay, and with an event that comes before its submission."""
    for name, value in shared.settings.environment().items():
        monkeypatch.setenv(name, value)
    # The event waits for its submission, however long this machine takes for the others.
    monkeypatch.setattr("streams.cases.lane.PATIENCE_MS", 600_000)
    names = [f"guest-{number}" for number in range(COUNT)]
    early = "guest-early"
    make_keys(shared, [*names, early])
    lethe = CliRunner()
    report = ("service-event", "cancelled", "--service", SERVICE, "--case", early)
    assert lethe.invoke(app, report).exit_code == 0
    submit(shared, names)
    with working(shared):
        eventually(lambda: len(states(shared)) == COUNT, "every case to begin")
        submit(shared, [early])
        eventually(lambda: states(shared).get(early) == "ended", "the one that came early to end")
        report = ("service-event", "event_over", "--service", SERVICE, "--group", "spring")
        done = lethe.invoke(app, (*report, "--watch"))
        assert (done.exit_code, f"{COUNT} cases changed" in done.output) == (0, True)
        assert set(states(shared).values()) == {"ended"}
        late = lethe.invoke(app, (*report, "--watch"))
        assert (late.exit_code, "refused" in late.output) == (1, True)
    before = told(shared, read_topic)
    assert before == (COUNT + 1, COUNT + 1, ["case_ended"])
    read_again(shared, eventually, monkeypatch)
    assert told(shared, read_topic) == before
    assert set(states(shared).values()) == {"ended"}


def test_a_service_that_has_cases_cannot_leave_the_policy(
    shared: Shared, eventually: Eventually
) -> None:
    make_keys(shared, ["guest"])
    submit(shared, ["guest"])
    with working(shared):
        eventually(lambda: "guest" in states(shared), "a case to begin")
    policy = Path(str(shared.settings.policy))
    policy.write_text(policy.read_text().replace(SERVICE, "others"))
    for loop in cases.LOOPS.values():
        with pytest.raises(SettingsError, match="missing: event-registration"):
            loop(Shared(shared.settings), threading.Event())


def told(shared: Shared, read_topic: ReadTopic) -> tuple[int, int, list[str]]:
    def sent(topic: str, record: str) -> list[dict[str, Any]]:
        found = read_topic(shared.settings.kafka.bootstrap, shared.settings.topic(topic))
        return [decode(record, each.value) for each in found]

    return (
        len(sent("cases-events", "case")),
        len(sent("notices", "notice")),
        [each["reason"] for each in sent("dead-letters", "dead_letter")],
    )


def read_again(shared: Shared, eventually: Eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything read from the first offset, by readers that remember nothing."""
    positions = tables.positions
    ours = positions.c.topic.startswith(shared.settings.kafka.prefix)  # others are no topics
    of_topics = select(positions).where(ours, positions.c.offset >= 0)
    with shared.ledger.transaction() as connection:
        ends = set(connection.execute(of_topics).all())
        connection.execute(positions.delete().where(ours))
    usual = Shared.consumer
    monkeypatch.setattr(Shared, "consumer", lambda self, name: usual(self, f"{name}-again"))

    def all_read() -> bool:
        with shared.ledger.reading() as connection:
            return set(connection.execute(of_topics).all()) == ends

    with working(shared):
        eventually(all_read, "all to be read again")
