"""How far each lane is behind, and how fast it goes: read from the broker, not from the lanes."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from privacy.ads import IDS
from sinks.kafka import consumer

# Who reads what besides receipts; consumer groups are named so, after the installation's prefix.
_READERS: Sequence[tuple[str, str]] = (
    ("anonymise", "tracking-events"),
    ("anonymise-raw", "tracking-events-raw"),
    ("load", "tracking-anonymised"),
    ("consent", "consent-changes"),
    ("route", "tracking-events"),
    ("profiles", "tracking-events"),
    *((f"deliver-{provider}", f"ads-{provider}") for provider in IDS),
    ("cases", "form-submissions"),
    ("cases", "service-events"),
    ("requests", "subject-requests"),
    ("security", "access-log"),
)


def readers(holders: Iterable[str]) -> Sequence[tuple[str, str]]:
    """Return the readers of an installation with these holders, and the topics they read."""
    return *_READERS, *(("receipts", f"deletion-receipts-{each}") for each in holders)


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
    bootstrap: str,
    options: Mapping[str, str],
    prefix: str,
    holders: Iterable[str] = (),
    seconds: float = 1.0,
) -> Sequence[Progress]:
    """Look twice, ``seconds`` apart. Raises KafkaException when the broker does not answer.

    ``holders`` are the policy's, who have a topic each for their receipts.
    What nobody has begun to read, as where there is no policy, is left out.
    """
    found = []
    first = {each: _offsets(bootstrap, options, prefix, *each) for each in readers(holders)}
    time.sleep(seconds)
    for (reader, topic), was in first.items():
        now = _offsets(bootstrap, options, prefix, reader, topic)
        if was is None or now is None:
            continue
        (was_end, was_done), (end, done) = was, now
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
    bootstrap: str, options: Mapping[str, str], prefix: str, reader: str, topic: str
) -> tuple[int, int] | None:
    """Return the sums over partitions of end offsets and of what is read; None: nothing ever."""
    client = consumer(bootstrap, prefix + reader, options)
    try:
        known = client.list_topics(prefix + topic, timeout=10).topics[prefix + topic].partitions
        places = [TopicPartition(prefix + topic, each) for each in known]
        partitions = client.committed(places, timeout=10)
        end = done = 0
        for partition in partitions:
            low, high = client.get_watermark_offsets(partition, timeout=10)
            end += high
            done += partition.offset if partition.offset >= 0 else low
    finally:
        client.close()
    begun = end or any(each.offset >= 0 for each in partitions)
    return (end, done) if begun else None
