"""Kafka in memory, so that what is measured is ours: what a lane asks of a consumer or producer."""

import resource
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from confluent_kafka import TopicPartition

Values = Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Message:
    """A message, as Kafka's client hands it over. ``time`` in milliseconds since 1970."""

    content: bytes
    place: tuple[str, int, int]  # topic, partition, offset
    time: int
    filed: bytes | None = None  # its key

    def topic(self) -> str:
        """Return the topic."""
        return self.place[0]

    def partition(self) -> int:
        """Return the partition."""
        return self.place[1]

    def offset(self) -> int:
        """Return the place in the partition."""
        return self.place[2]

    def timestamp(self) -> tuple[int, int]:
        """Return that the time is the broker's, and the time."""
        return 2, self.time

    def key(self) -> bytes | None:
        """Return what it is filed under."""
        return self.filed

    def value(self) -> bytes:
        """Return the content."""
        return self.content

    def error(self) -> None:
        """Return that there is none."""
        return


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a lane had come, and when: messages, seconds, CPU seconds of the process."""

    done: int
    at: float
    cpu: float


class Backlog:
    """A consumer of messages that are all there, or arrive at ``rate`` a second.

    It is ``finished`` so many seconds after ``enough`` were committed as ``linger`` says.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        finished: threading.Event,
        enough: int,
        *,
        linger: float = 0.0,
        rate: float | None = None,
    ) -> None:
        self._messages = messages
        self.finished = finished
        self._enough = enough
        self._linger = linger
        self._rate = rate
        self._next = 0
        self._offsets: defaultdict[int, list[int]] = defaultdict(list)
        for message in messages:
            self._offsets[message.partition()].append(message.offset())
        self._committed: dict[int, int] = {}
        self.first = mark(0)
        self.last = self.first

    def subscribe(
        self, topics: Sequence[str], on_assign: Callable[..., None], on_revoke: object
    ) -> None:
        """Assign all partitions at once."""
        del on_revoke
        partitions = {message.partition() for message in self._messages}
        on_assign(self, [TopicPartition(topics[0], each) for each in partitions])

    def consume(self, most: int, seconds: float) -> Sequence[Message]:
        """Return up to ``most`` that have arrived, or wait."""
        if not self._next:
            self.first = mark(0)
        if self._rate is not None:
            time.sleep(seconds)
            arrived = int((time.monotonic() - self.first.at) * self._rate)
            most = min(most, arrived - self._next)
        found = self._messages[self._next : self._next + most]
        self._next += len(found)
        if not found:
            time.sleep(seconds)
        return found

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        """Note how far the lane is."""
        del asynchronous
        self._committed |= {each.partition: each.offset for each in offsets}
        done = sum(bisect_left(self._offsets[each], end) for each, end in self._committed.items())
        self.last = mark(done)
        if done >= self._enough:
            threading.Timer(self._linger, self.finished.set).start()

    def assignment(self) -> list[TopicPartition]:
        """Return nothing that could be paused."""
        return []

    def pause(self, partitions: object) -> None:
        """Do nothing: a reader in memory leaves no group."""

    resume = pause
    poll = pause

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


class Writer:
    """A producer that keeps, by topic, values with their keys, or forgets them."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.kept: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
        self.sent = 0
        self._keeps = keeps

    def send(self, topic: str, values: Values, keys: Values) -> None:
        """Take values."""
        self.sent += len(values)
        if self._keeps:
            self.kept[topic] += zip(keys, values, strict=True)

    def stored(self) -> None:
        """Return at once: it is."""


def mark(done: int) -> Mark:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Mark(done, time.monotonic(), used.ru_utime + used.ru_stime)
