"""What processes need and how far lanes are behind, looked at while something runs."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from confluent_kafka import TopicPartition

from sinks.kafka import consumer
from streams.kafka_login import options
from streams.settings import Settings

READERS: Sequence[tuple[str, str]] = (
    ("anonymise", "tracking-events"),
    ("load", "tracking-anonymised"),
    ("route", "tracking-events"),
    ("deliver-meta", "ads-meta"),
)
PAGE = os.sysconf("SC_PAGE_SIZE")


class Look(NamedTuple):
    """What was seen: monotonic seconds, resident bytes by process, messages not read by reader."""

    at: float
    rss: Mapping[str, int]
    behind: Mapping[str, int]


class Lag:
    """How many messages each reader has not read."""

    def __init__(self, settings: Settings) -> None:
        self._clients: dict[str, tuple[Any, Sequence[TopicPartition]]] = {}
        for reader, topic in READERS:
            name = settings.topic(topic)
            group = settings.kafka.prefix + reader
            client = consumer(settings.kafka.bootstrap, group, options(settings))
            places = client.list_topics(name, timeout=10).topics[name].partitions
            self._clients[reader] = client, [TopicPartition(name, each) for each in places]

    def now(self) -> dict[str, int]:
        """Ask the broker."""
        found = {}
        for reader, (client, places) in self._clients.items():
            committed = client.committed(places, timeout=10)
            ends = (client.get_watermark_offsets(each, timeout=10)[1] for each in places)
            found[reader] = sum(ends) - sum(max(each.offset, 0) for each in committed)
        return found

    def close(self) -> None:
        """Let go of the broker."""
        for client, _ in self._clients.values():
            client.close()


class Watch:
    """Looks once in ``every`` seconds, in a thread, for as long as the context lasts."""

    def __init__(self, lag: Lag, pids: Callable[[], Mapping[str, int]], every: float = 1.0) -> None:
        """``pids`` returns the processes' ids by name."""
        self._lag = lag
        self._pids = pids
        self._every = every
        self.looks: list[Look] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> Look:
        """Look now."""
        rss = {name: resident(pid) for name, pid in self._pids().items()}
        return Look(time.monotonic(), rss, self._lag.now())

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.looks.append(self.look())


def resident(pid: int) -> int:
    """Return a process's resident bytes; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def engines(parent: int) -> dict[str, int]:
    """Return broker and ClickHouse among a process's children, by name."""
    found = {}
    for task in Path(f"/proc/{parent}/task").iterdir():
        for pid in (task / "children").read_text().split():
            with suppress(FileNotFoundError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                for name, mark in (("ClickHouse", b"clickhouse"), ("Kafka", b"kafka.Kafka")):
                    if mark in line:
                        found[name] = int(pid)
    return found
