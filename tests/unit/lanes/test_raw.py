"""Full addresses wait on their topic for moments, and an alarm says when they do not."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from structlog.testing import capture_logs

from schemas.registry import topics
from streams.lanes.raw import ALARM_SECONDS, DELETE_EVERY, RawTopic

TOPIC = "tracking-events-raw"
NOW = 1_795_000_000.0


class Admin:
    """A broker that deletes, or refuses to."""

    def __init__(self) -> None:
        self.deleted: list[list[int]] = []
        self.refuses = False

    def delete_records(self, before: list[TopicPartition]) -> dict[TopicPartition, Any]:
        self.deleted.append([each.offset for each in before])
        done: Future[None] = Future()
        if self.refuses:
            done.set_exception(KafkaException(KafkaError(KafkaError.POLICY_VIOLATION)))
        else:
            done.set_result(None)
        return dict.fromkeys(before, done)


class Raw:
    """The raw topic, read by a lane whose position is ``position``."""

    def __init__(self) -> None:
        self.admin = Admin()
        self.now = NOW
        self.position = 0
        self._told = RawTopic(self.admin, lambda: self.now)  # type: ignore[arg-type]

    def commit(self, age: float = 0.0) -> None:
        """Tell that a message of that age was read and committed."""
        self.position += 1
        places = [TopicPartition(TOPIC, 0, self.position), TopicPartition(TOPIC, 1, -1001)]
        consumer: Any = SimpleNamespace(assignment=lambda: places, position=lambda each: each)
        stamp = int((self.now - age) * 1000)
        message: Any = SimpleNamespace(topic=lambda: TOPIC, timestamp=lambda: (2, stamp))
        self._told(consumer, [message])


@pytest.fixture
def raw() -> Raw:
    return Raw()


def test_what_is_committed_is_deleted_once_a_second(raw: Raw) -> None:
    raw.commit()
    raw.commit()
    assert raw.admin.deleted == [[1]]
    raw.now += DELETE_EVERY
    raw.commit()
    assert raw.admin.deleted == [[1], [3]], "and what was left out before"


def test_the_alarm_is_raised_at_half_of_what_the_topic_keeps(raw: Raw) -> None:
    assert int(topics()[TOPIC].config["retention.ms"]) / 1000 / 2 == ALARM_SECONDS
    with capture_logs() as said:
        raw.commit(ALARM_SECONDS)
    assert said == []
    with capture_logs() as said:
        raw.commit(ALARM_SECONDS + 1)
    (alarm,) = said
    assert (alarm["event"], alarm["log_level"]) == ("raw_topic_read_too_slowly", "error")


def test_a_broker_that_deletes_nothing_is_told_of(raw: Raw) -> None:
    raw.admin.refuses = True
    with capture_logs() as said:
        raw.commit()
    assert [(each["event"], each["reason"]) for each in said] == [
        ("records_not_deleted", "POLICY_VIOLATION")
    ]
