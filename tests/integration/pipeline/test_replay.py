"""Refused messages are sent once more where that helps, and nowhere else."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from lethe.cli import app
from privacy.outcome import Reason, Reject
from schemas.codec import encode
from sinks.kafka import BatchProducer
from streams.lanes.rejects import dead_letter
from streams.settings import Settings
from streams.shared import Shared, now

pytestmark = pytest.mark.broker
POLICY = Path(__file__).parents[3] / "deploy" / "policy" / "reference.toml"


class Town:
    """A broker with messages of which some were refused."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._producer = BatchProducer(settings.kafka.bootstrap, settings.kafka.options)
        self.environment = settings.environment() | {"LETHE_POLICY": str(POLICY), "COLUMNS": "200"}

    def send(self, topic: str, value: bytes, key: bytes = b"k") -> Any:
        self._producer.send(self.settings.topic(topic), [value], [key])
        self._producer.stored()
        return self.lie(topic)[-1]

    def lie(self, topic: str) -> list[Any]:
        """Return what lies on a topic at present, in the order it came."""
        found = Shared(self.settings).places.kept(self.settings.topic(topic))
        return sorted(found, key=lambda each: each.timestamp()[1])

    def refuse(self, message: Any, reason: Reason, by: str) -> None:
        letter = dead_letter(message, Reject(reason, "read", ("service",)), by, now())
        self.send("dead-letters", letter, b"")

    def lethe(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["dead-letters", *words], env=self.environment)
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout


def event(service: str) -> bytes:
    return encode(
        "service_event",
        {
            "event_id": str(uuid.uuid4()), "service": service, "event": "delivered",  # noqa: TID251
            "case_id": "c", "group": None, "at": now(), "by": "test", "details": {},
        },
    )  # fmt: skip


@pytest.fixture
def town(settings: Settings) -> Town:
    return Town(settings)


def test_what_is_mended_is_sent_again_as_it_was_and_nothing_else(town: Town) -> None:
    mended = town.send("service-events", event("sample-request"), b"c")
    town.refuse(mended, Reason.UNKNOWN_SERVICE, "cases")
    town.refuse(mended, Reason.UNKNOWN_SERVICE, "cases")  # told twice, and sent once
    town.refuse(town.send("service-events", event("no-service")), Reason.UNKNOWN_SERVICE, "cases")
    town.refuse(town.send("service-events", b"junk"), Reason.WRONG_MAGIC, "cases")
    town.refuse(town.send("ads-meta", b"junk"), Reason.PROVIDER_REFUSED, "deliver-meta")
    listed = json.loads(town.lethe("list", "--format", "json"))
    assert len(listed) == 4
    assert {each["reason"] for each in listed} == {
        "unknown_service", "wrong_magic", "provider_refused",
    }  # fmt: skip
    before = len(town.lie("service-events"))
    said = town.lethe("replay", "--all")
    assert "sent: 1\n" in said
    assert "1 would be refused again: unknown_service" in said
    assert "1 would be refused again: wrong_magic" in said
    assert "1 settled where they were refused" in said
    after = town.lie("service-events")
    assert len(after) == before + 1
    assert (after[-1].key(), after[-1].value()) == (mended.key(), mended.value())
    assert after[-1].partition() == mended.partition()


def test_what_is_gone_is_told_and_nothing_is_sent(town: Town) -> None:
    message = town.send("service-events", event("sample-request"))
    town.refuse(message, Reason.UNKNOWN_CASE, "cases")
    admin = AdminClient({"bootstrap.servers": town.settings.kafka.bootstrap})
    place = TopicPartition(message.topic(), message.partition(), message.offset() + 1)
    next(iter(admin.delete_records([place]).values())).result(30)
    assert "1 gone from their topic" in town.lethe("replay", "--by", "cases", code=1)


def test_an_event_that_breaks_the_contract_is_not_sent_again(town: Town) -> None:
    message = town.send("tracking-events", b"junk")
    town.refuse(message, Reason.MALFORMED, "anonymise")
    said = town.lethe("replay", "--reason", "malformed", code=1)
    assert "would be refused again: wrong_magic" in said
    town.lethe("replay", code=2)
