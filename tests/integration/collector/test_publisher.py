"""One suite for the real publisher and for the one in memory: they keep the same promises."""

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kafka.partitioner.default import murmur2

from schemas.registry import topics
from sinks.kafka import NotStoredError
from sinks.publish import KafkaPublisher, MemoryPublisher, Message, Place, Publisher
from streams.settings import Settings

pytestmark = pytest.mark.broker

ReadTopic = Callable[[str, str], list[Any]]
Until = Callable[[Callable[[], Any]], Any]

TOPIC = "tracking-events"


@dataclass
class Case:
    """A publisher, how to read what it stored, and one like it whose broker is gone."""

    publisher: Publisher
    topic: str
    read: Callable[[bytes], list[bytes]]
    at: Callable[[Place], Message]
    without_broker: Publisher


@pytest.fixture(params=["memory", "kafka"])
def case(request: pytest.FixtureRequest, read_topic: ReadTopic) -> Iterator[Case]:
    if request.param == "memory":
        memory, gone = MemoryPublisher(), MemoryPublisher()
        gone.available = False
        yield Case(
            memory,
            TOPIC,
            lambda key: [message.value for _, message in memory.stored if message.key == key],
            lambda place: memory.stored[place.offset][1],
            gone,
        )
        return
    settings: Settings = request.getfixturevalue("settings")
    topic = settings.topic(TOPIC)
    real = KafkaPublisher(
        settings.kafka.bootstrap, settings.kafka.options, max_pending=100, timeout=10.0
    )
    gone_too = KafkaPublisher(f"127.0.0.1:{_closed_port()}", {}, max_pending=100, timeout=0.5)
    yield Case(
        real,
        topic,
        lambda key: [m.value for m in read_topic(settings.kafka.bootstrap, topic) if m.key == key],
        lambda place: next(
            Message(m.key, m.value)
            for m in read_topic(settings.kafka.bootstrap, topic)
            if (m.partition, m.offset) == place
        ),
        gone_too,
    )
    real.close()
    gone_too.close()


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_batch_is_stored_in_order_when_its_future_is_done(case: Case) -> None:
    key = secrets.token_bytes(16)
    values = [str(number).encode() for number in range(50)]
    case.publisher.send(case.topic, [Message(key, value) for value in values]).result(15)
    assert case.read(key) == values
    assert case.publisher.pending == 0


def test_a_stored_batch_is_told_its_places_in_its_order(case: Case) -> None:
    """Whatever the keys and partitions, and however alike the messages."""
    keys = [None, *(secrets.token_bytes(16) for _ in range(5))]
    batch = [Message(keys[number % 6], b"value") for number in range(60)]
    places = case.publisher.send(case.topic, batch).result(15)
    assert len(set(places)) == len(batch)
    for key in keys[1:]:
        found = [place for place, message in zip(places, batch, strict=True) if message.key == key]
        assert len({place.partition for place in found}) == 1
        assert found == sorted(found)
        assert case.at(found[0]) == (key, b"value")
    (later,) = case.publisher.send(case.topic, batch[1:2]).result(15)
    assert later.partition == places[1].partition
    assert later.offset > max(p.offset for p in places if p.partition == later.partition)


def test_an_empty_batch_is_stored(case: Case) -> None:
    assert not case.publisher.send(case.topic, []).result(1)


def test_without_a_broker_nothing_is_stored_and_it_is_said(case: Case) -> None:
    stored = case.without_broker.send(case.topic, [Message(None, b"value")] * 3)
    with pytest.raises(NotStoredError):
        stored.result(15)


def test_readiness_is_the_broker_s(case: Case, until: Until) -> None:
    until(lambda: case.publisher.ready(case.topic))
    assert not case.without_broker.ready(case.topic)


def test_a_caller_that_leaves_changes_nothing(case: Case) -> None:
    key = secrets.token_bytes(16)
    stored = case.publisher.send(case.topic, [Message(key, b"value")])
    assert not stored.cancel()
    stored.result(15)
    assert case.read(key) == [b"value"]


def test_more_than_may_wait_is_refused_at_once() -> None:
    publisher = KafkaPublisher(f"127.0.0.1:{_closed_port()}", {}, max_pending=10, timeout=5)
    first = publisher.send(TOPIC, [Message(None, b"value")] * 8)
    second = publisher.send(TOPIC, [Message(None, b"value")] * 3)
    assert second.done()
    assert not first.done()
    publisher.close()
    for stored in (first, second):
        with pytest.raises(NotStoredError):
            stored.result(0)


def test_what_a_topic_refuses_is_not_stored(settings: Settings) -> None:
    publisher = KafkaPublisher(settings.kafka.bootstrap, {}, max_pending=10, timeout=2.0)
    huge = [Message(None, b"x" * 2_000_000)]
    with pytest.raises(NotStoredError):
        publisher.send(settings.topic(TOPIC), huge).result(10)
    publisher.close()


def test_keys_go_where_java_s_clients_put_them(settings: Settings, read_topic: ReadTopic) -> None:
    publisher = KafkaPublisher(settings.kafka.bootstrap, {}, max_pending=100, timeout=10.0)
    topic = settings.topic(TOPIC)
    keys = [f"shop.example|{secrets.token_hex()}".encode() for _ in range(20)]
    publisher.send(topic, [Message(key, b"value") for key in keys]).result(15)
    count = topics()[TOPIC].partitions
    stored = read_topic(settings.kafka.bootstrap, topic)
    found = {message.key: message.partition for message in stored if message.key in keys}
    assert found == {key: (murmur2(key) & 0x7FFFFFFF) % count for key in keys}
    publisher.close()


def test_a_producer_that_cannot_go_on_is_replaced(settings: Settings) -> None:
    publisher = KafkaPublisher(settings.kafka.bootstrap, {}, max_pending=10, timeout=10.0)
    broken = publisher._producer
    publisher._fatal.set()
    until = time.monotonic() + 10
    while publisher._producer is broken and time.monotonic() < until:
        time.sleep(0.01)
    publisher.send(settings.topic(TOPIC), [Message(None, b"value")]).result(15)
    assert publisher._producer is not broken
    publisher.close()
