"""A broker in memory, for lanes that keep what they do in the ledger."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from confluent_kafka import TopicPartition


class Stored(NamedTuple):
    """A message as Kafka's client hands it over."""

    topic_: str
    partition_: int
    offset_: int
    key_: bytes
    value_: bytes | None
    at: int

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return self.partition_

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


class Consumer:
    """One member of one group, which has every partition. ``idle`` is called when all is read."""

    def __init__(self, broker: "Broker", idle: Callable[[], object]) -> None:
        self._broker = broker
        self._idle = idle
        self._topics: Sequence[str] = ()
        self._positions: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._on_assign: Callable[..., None] | None = None

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[..., None] = lambda *_: None,
        **_: Callable[..., None],
    ) -> None:
        self._topics, self._on_assign = topics, on_assign
        for place, offset in self._broker.committed.items():
            self._positions[place] = offset

    def consume(self, most: int, _: float) -> list[Stored]:
        if self._on_assign is not None:
            self._on_assign(self, [TopicPartition(each, 0) for each in self._topics])
            self._on_assign = None
            return []
        found: list[Stored] = []
        for topic in self._topics:
            start = self._positions[topic, 0]
            some = self._broker.logs[topic][start : start + most - len(found)]
            self._positions[topic, 0] += len(some)
            found += some
        if not found:
            self._idle()
        return found

    def committed(self, partitions: Sequence[TopicPartition], **_: Any) -> list[TopicPartition]:
        return [
            TopicPartition(
                each.topic,
                each.partition,
                self._broker.committed.get(place, -1001),
                metadata=self._broker.notes.get(place, ""),
            )
            for each in partitions
            for place in [(each.topic, each.partition)]
        ]

    def list_topics(self, topic: str, **_: Any) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=[0])})

    def get_watermark_offsets(self, place: TopicPartition, **_: Any) -> tuple[int, int]:
        return 0, len(self._broker.logs[place.topic])

    def offsets_for_times(self, wanted: Sequence[TopicPartition], **_: Any) -> list[TopicPartition]:
        found = []
        for each in wanted:
            log = self._broker.logs[each.topic]
            later = (
                m.offset_ for m in log if m.partition_ == each.partition and m.at >= each.offset
            )
            found.append(TopicPartition(each.topic, each.partition, next(later, -1)))
        return found

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            if each.offset >= 0:
                self.seek(each)

    def seek(self, to: TopicPartition) -> None:
        self._positions[to.topic, to.partition] = to.offset

    def commit(self, offsets: Sequence[TopicPartition], **_: Any) -> None:
        for each in offsets:
            self._broker.committed[each.topic, each.partition] = each.offset
            self._broker.notes[each.topic, each.partition] = each.metadata
        self._broker.commits.append(dict(self._broker.committed))

    def close(self) -> None:
        pass


class Producer:
    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self._waiting: list[tuple[str, bytes, bytes | None]] = []

    def send(
        self, topic: str, values: Sequence[bytes | None], keys: Sequence[bytes] | None = None
    ) -> None:
        keys = [b""] * len(values) if keys is None else keys
        self._waiting += [(topic, key, value) for key, value in zip(keys, values, strict=True)]

    def stored(self) -> None:
        for topic, key, value in self._waiting:
            self._broker.put(topic, key, value)
        self._waiting.clear()


class Broker:
    """Topics of one partition, one consumer group."""

    def __init__(self) -> None:
        self.logs: defaultdict[str, list[Stored]] = defaultdict(list)
        self.committed: dict[tuple[str, int], int] = {}
        self.notes: dict[tuple[str, int], str] = {}
        self.commits: list[dict[tuple[str, int], int]] = []

    def put(self, topic: str, key: bytes, value: bytes | None, at: int = 0) -> None:
        log = self.logs[topic]
        log.append(Stored(topic, 0, len(log), key, value, at))

    def values(self, topic: str) -> list[bytes | None]:
        return [each.value() for each in self.logs[topic]]

    def consumer(self, idle: Callable[[], object]) -> Consumer:
        return Consumer(self, idle)

    def producer(self) -> Producer:
        return Producer(self)


@pytest.fixture
def broker() -> Broker:
    return Broker()
