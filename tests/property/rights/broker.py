"""A broker in memory that dies with its clients: what is not committed or stored is lost."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

from confluent_kafka import TopicPartition

from sinks.ledger.ledger import Ledger


class Crash(BaseException):
    """The end of the worker's process, which no part of it catches."""


class Points:
    """Places at which the worker may end: around all that leaves a trace."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.transactions = 0

    def reach(self) -> None:
        """End the worker here, if it is to end here."""
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise Crash


class Stored(NamedTuple):
    """A message as Kafka's client hands it over."""

    topic_: str
    offset_: int
    key_: bytes
    value_: bytes | None
    at: int

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.offset_

    def key(self) -> bytes:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def timestamp(self) -> tuple[int, int]:
        return 1, self.at

    def error(self) -> None:
        return None


class Broker:
    """Topics of one partition; nobody shares a topic with another group."""

    def __init__(self, points: Points, clock: Callable[[], int]) -> None:
        self.points, self.clock = points, clock
        self.logs: defaultdict[str, list[Stored]] = defaultdict(list)
        self.committed: defaultdict[str, int] = defaultdict(int)

    def put(self, topic: str, key: bytes, value: bytes | None, at: int | None = None) -> None:
        log = self.logs[topic]
        log.append(Stored(topic, len(log), key, value, self.clock() if at is None else at))

    def again(self, topic: str, offset: int) -> None:
        """Have a message lie on its topic once more, as after a producer's retry."""
        old = self.logs[topic][offset]
        self.put(topic, old.key_, old.value_, old.at)


class Consumer:
    """All partitions of some topics, for one life of a worker. ``idle`` is called at the end."""

    def __init__(self, broker: Broker, idle: Callable[[], None]) -> None:
        self._broker, self._idle = broker, idle
        self._topics: Sequence[str] = ()
        self._at: dict[str, int] = {}
        self._on_assign: Callable[..., None] | None = None

    @property
    def is_behind(self) -> bool:
        logs = self._broker.logs
        return not self._topics or any(self._at[each] < len(logs[each]) for each in self._topics)

    def subscribe(self, topics: Sequence[str], on_assign: Callable[..., None]) -> None:
        if not self._topics:
            self._topics, self._on_assign = topics, on_assign
            self._at = {each: self._broker.committed[each] for each in topics}

    def consume(self, most: int, _: float) -> list[Stored]:
        if self._on_assign is not None:
            self._on_assign(self, [TopicPartition(each, 0) for each in self._topics])
            self._on_assign = None
            return []
        found: list[Stored] = []
        for topic in self._topics:
            some = self._broker.logs[topic][self._at[topic] :][: most - len(found)]
            self._at[topic] += len(some)
            found += some
        if not found:
            self._idle()
        return found

    def committed(self, places: Sequence[TopicPartition], **_: Any) -> list[TopicPartition]:
        return [TopicPartition(each.topic, 0, self._broker.committed[each.topic])
                for each in places]  # fmt: skip

    def list_topics(self, topic: str, **_: Any) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=[0])})

    def get_watermark_offsets(self, place: TopicPartition, **_: Any) -> tuple[int, int]:
        return 0, len(self._broker.logs[place.topic])

    def seek(self, to: TopicPartition) -> None:
        self._at[to.topic] = to.offset

    def commit(self, offsets: Sequence[TopicPartition], **_: Any) -> None:
        self._broker.points.reach()
        for each in offsets:
            self._broker.committed[each.topic] = each.offset
        self._broker.points.reach()

    def close(self) -> None:
        """Stay a member: the lane runs again, as long as its worker lives."""


class Producer:
    """Holds what is sent until it is acknowledged; some of it may be stored before a crash."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._waiting: list[tuple[str, bytes, bytes | None]] = []

    def send(
        self, topic: str, values: Sequence[bytes | None], keys: Sequence[bytes] | None = None
    ) -> None:
        keys = [b""] * len(values) if keys is None else keys
        self._waiting += [(topic, key, value) for key, value in zip(keys, values, strict=True)]

    def stored(self) -> None:
        for each in self._waiting:
            self._broker.points.reach()
            self._broker.put(*each)
        self._waiting.clear()
        self._broker.points.reach()


def with_crashes(ledger: Ledger, points: Points) -> None:
    """Have the process end before or after any transaction of ``ledger``."""
    transaction = ledger.transaction

    @contextmanager
    def transacted() -> Any:
        with transaction() as connection:
            yield connection
            points.reach()  # nothing of it is kept
        points.transactions += 1
        points.reach()

    ledger.transaction = transacted  # type: ignore[method-assign]
