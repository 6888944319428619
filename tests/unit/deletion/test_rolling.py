"""Partitions that nothing is written to, and Kafka, which would never compact them (S3)."""

from collections import Counter
from collections.abc import Sequence

from schemas.registry import CASES, topics
from streams.deletion.rolling import Rolling

HOUR_MS = 3_600_000


class Broker:
    def __init__(self) -> None:
        self.stored_: Counter[tuple[str, int]] = Counter()
        self._sent: list[tuple[str, int]] = []

    def send(
        self, topic: str, values: Sequence[None], keys: Sequence[bytes], partition: int
    ) -> None:
        assert (values, keys) == ([None], [b""])
        self._sent.append((topic, partition))

    def stored(self) -> None:
        self.stored_.update(self._sent)
        self._sent.clear()


def test_each_partition_is_written_to_once_an_hour() -> None:
    now = 1_795_000_000_000
    broker = Broker()
    rolling = Rolling(["cases-sales", "cases-events"], broker, lambda: now)  # type: ignore[arg-type]
    every = {(f"cases-{each}", number) for each in ("sales", "events") for number in range(4)}
    rolling.beat()  # after a start at once: nobody knows how long it was away
    assert broker.stored_ == dict.fromkeys(every, 1)
    now += HOUR_MS - 1
    rolling.beat()
    assert broker.stored_ == dict.fromkeys(every, 1)
    now += 1
    rolling.beat()
    assert broker.stored_ == dict.fromkeys(every, 2)


def test_an_hour_is_as_old_as_a_segment_becomes_and_shorter_than_the_lag() -> None:
    """Else the bound that certificates state would not hold."""
    config = topics()[CASES].config
    assert int(config["segment.ms"]) == HOUR_MS
    assert 2 * int(config["segment.ms"]) < int(config["max.compaction.lag.ms"])
