"""What lies on a topic, for tests of those who write to it."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from confluent_kafka import TopicPartition

from sinks.kafka import consumer, poll


class Found(NamedTuple):
    """A message on a topic."""

    key: bytes | None
    value: bytes | None
    partition: int


@pytest.fixture
def read_topic() -> Callable[[str, str], list[Found]]:
    """Read a topic from its beginning to its present end."""

    def read(bootstrap: str, topic: str) -> list[Found]:
        client = consumer(bootstrap, "reader", {})
        partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
        starts = [TopicPartition(topic, each, 0) for each in partitions]
        left = sum(client.get_watermark_offsets(each, timeout=10)[1] for each in starts)
        client.assign(starts)
        found: list[Found] = []
        while len(found) < left:
            found += [Found(m.key(), m.value(), m.partition()) for m in poll(client, 1000, 1.0)]
        client.close()
        return found

    return read
