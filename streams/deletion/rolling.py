"""Something written to each partition once an hour, so that Kafka compacts those where nothing is.

It compacts what lies before a partition's last segment, and begins a new one only when something is
written: where nothing follows a tombstone, the sealed copy before it would stay for ever (S3).
"""

from collections.abc import Callable, Iterable

from schemas.registry import CASES, topics
from sinks.kafka import BatchProducer

NOBODY = b""  # the key of no case: readers pass over it


class Rolling:
    """Writes a tombstone of nobody. Several may do so for the same topics."""

    def __init__(
        self, names: Iterable[str], producer: BatchProducer, clock: Callable[[], int]
    ) -> None:
        """Take ``names`` of departments' topics; ``clock`` tells the milliseconds since 1970."""
        self._names = tuple(names)
        self._producer = producer
        self._clock = clock
        self._due = 0

    def beat(self) -> None:
        """Write if an hour has passed, and wait until it is stored. Raise NotStoredError."""
        at = self._clock()
        if at < self._due:
            return
        template = topics()[CASES]
        for name in self._names:
            for partition in range(template.partitions):
                self._producer.send(name, [None], [NOBODY], partition)
        self._producer.stored()
        self._due = at + int(template.config["segment.ms"])
