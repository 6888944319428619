"""How far each lane is behind, and how fast it goes: read from the broker, not from the lanes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from sinks.kafka import consumer

# Who reads what; consumer groups are named so, after the installation's prefix.
READERS: Mapping[str, str] = {
    "anonymise": "tracking-events",
    "anonymise-raw": "tracking-events-raw",
    "load": "tracking-anonymised",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """One reader of one topic: messages on the topic, messages not yet read, both a second."""

    reader: str
    topic: str
    end: int
    lag: int
    arriving: float
    read: float


def progress(
    bootstrap: str, options: Mapping[str, str], prefix: str, seconds: float = 1.0
) -> Sequence[Progress]:
    """Look twice, ``seconds`` apart. Raises KafkaException when the broker does not answer."""
    found = []
    first = {reader: _offsets(bootstrap, options, prefix, reader) for reader in READERS}
    time.sleep(seconds)
    for reader, topic in READERS.items():
        end, done = _offsets(bootstrap, options, prefix, reader)
        was_end, was_done = first[reader]
        found.append(
            Progress(
                reader=reader,
                topic=topic,
                end=end,
                lag=end - done,
                arriving=(end - was_end) / seconds,
                read=(done - was_done) / seconds,
            )
        )
    return found


def _offsets(
    bootstrap: str, options: Mapping[str, str], prefix: str, reader: str
) -> tuple[int, int]:
    """Return the sums over partitions of end offsets and of what is read."""
    client = consumer(bootstrap, prefix + reader, options)
    try:
        topic = prefix + READERS[reader]
        known = client.list_topics(topic, timeout=10).topics[topic].partitions
        partitions = client.committed([TopicPartition(topic, each) for each in known], timeout=10)
        end = done = 0
        for partition in partitions:
            low, high = client.get_watermark_offsets(partition, timeout=10)
            end += high
            done += partition.offset if partition.offset >= 0 else low
        return end, done
    finally:
        client.close()
