"""Shared by the tests of the collector and its publisher on a broker."""

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, TopicPartition


class Found(NamedTuple):
    """A message as it lies on the broker."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes


def _read(bootstrap: str, topic: str) -> list[Found]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": secrets.token_hex(),
            "enable.partition.eof": True,
        }
    )
    left = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, 0) for number in range(left)])
    found = []
    until = time.monotonic() + 20
    while left and time.monotonic() < until:
        for message in consumer.consume(1000, 0.1):
            if message.error():
                left -= 1
            else:
                found.append(
                    Found(message.partition(), message.offset(), message.key(), message.value())
                )
    consumer.close()
    assert not left, "the broker did not hand out its messages in time"
    return found


@pytest.fixture
def read_topic() -> Callable[[str, str], list[Found]]:
    """Return a reader of every message of a topic, up to its ends as they are now."""
    return _read
