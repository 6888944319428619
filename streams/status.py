"""How far each lane is behind, and how fast it goes: read from the broker, not from the lanes."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from privacy.ads import IDS
from sinks.places import Places

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
    places: Places, prefix: str, holders: Iterable[str] = (), seconds: float = 1.0
) -> Sequence[Progress]:
    """Look twice, ``seconds`` apart. Raises KafkaException when the broker does not answer.

    ``holders`` are the policy's, who have a topic each for their receipts.
    What nobody has begun to read, as where there is no policy, is left out.
    """
    theirs = readers(holders)
    first = come_to(places, prefix, theirs)
    time.sleep(seconds)
    found = []
    for (reader, topic), (end, done) in come_to(places, prefix, theirs).items():
        was_end, was_done = first.get((reader, topic), (end, done))
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


def come_to(
    places: Places, prefix: str, theirs: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], tuple[int, int]]:
    """Return by reader and topic the sums over partitions of end offsets and of what is read.

    What nobody has begun to read, as where there is no policy, is left out. Raise KafkaException.
    """
    ends = places.ends(sorted({prefix + topic for _, topic in theirs}))
    found = {}
    for reader, both in groupby(theirs, key=lambda each: each[0]):
        topics = [topic for _, topic in both]
        done = places.committed(prefix + reader, [prefix + topic for topic in topics])
        for topic in topics:
            mine = {place: marks for place, marks in ends.items() if place[0] == prefix + topic}
            end = sum(high for _, high in mine.values())
            if done or end:
                read = sum(max(done.get(place, low), low) for place, (low, _) in mine.items())
                found[reader, topic] = end, read
    return found
