"""Shared by the tests of the collector and its publisher on a broker."""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from sqlalchemy import select

from sinks.kafka_admin import create_topics
from sinks.ledger.ledger import Ledger
from streams import policy
from streams.keys.prepare import prepare
from streams.settings import Settings
from tests import waiting

FILE = Path(__file__).parents[2] / "unit" / "collector" / "policy.toml"


class Found(NamedTuple):
    """A message as it lies on the broker."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes


def _read(bootstrap: str, topic: str) -> list[Found]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": secrets.token_hex(),
            "enable.partition.eof": True,
        }
    )
    left = set(consumer.list_topics(topic, timeout=waiting.PATIENCE).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, 0) for number in left])
    found = []
    until = time.monotonic() + waiting.PATIENCE
    while left and time.monotonic() < until:
        for message in consumer.consume(1000, 0.1):
            if (error := message.error()) is None:
                found.append(
                    Found(message.partition(), message.offset(), message.key(), message.value())
                )
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
    consumer.close()
    assert not left, "the broker did not hand out its messages in time"
    return found


@pytest.fixture
def read_topic() -> Callable[[str, str], list[Found]]:
    """Return a reader of every message of a topic, up to its ends as they are now."""
    return _read


@dataclass(frozen=True)
class Running:
    """A server's address and where it logs to."""

    url: str
    log: Path


Serve = Callable[..., Running]


@contextmanager
def _running(settings: Settings, log: Path, said: str, *words: str) -> Iterator[Running]:
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "lethe", *words, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=settings.environment(),
        )
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert line.startswith(f"{said}: http://127.0.0.1:"), log.read_text()
        yield Running(line.partition(": ")[2].strip(), log)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def collected(settings: Settings, tmp_path: Path) -> Settings:
    """Make settings with a policy of forms and rights, its topics and keys."""
    made = settings.model_copy(update={"policy": FILE, "secrets_dir": tmp_path / "secrets"})
    its_policy = policy.load(FILE)
    prepare(made.secrets, its_policy)
    kafka = made.kafka
    create_topics(kafka.bootstrap, kafka.options, kafka.prefix, departments=its_policy.departments)
    return made


@pytest.fixture
def serve(collected: Settings, tmp_path: Path) -> Iterator[Serve]:
    """Return what runs ``lethe <words>`` as a process, which ``said`` its address."""
    with ExitStack() as stack:
        yield lambda said, *words: stack.enter_context(
            _running(collected, tmp_path / f"{words[0]}.log", said, *words)
        )


@pytest.fixture
def collector(serve: Serve) -> Running:
    """Return a collector."""
    return serve("Collector", "collect")


@pytest.fixture
def rows() -> Callable[[Ledger, Any], list[Any]]:
    """Return a reader of a table of the ledger."""

    def read(ledger: Ledger, table: Any) -> list[Any]:
        with ledger.reading() as connection:
            return list(connection.execute(select(table)).mappings())

    return read


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Return what waits for something, and returns it."""
    return waiting.until
