"""Three brokers: what was acknowledged outlasts one, and nothing is acknowledged by one alone."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from signal import SIGKILL
from typing import NamedTuple

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from lethe.local import brokers, packages
from lethe.local.process import Process, start_together, stop_together
from sinks.kafka import NotStoredError, consumer, poll
from sinks.kafka_admin import create_topics
from sinks.publish import KafkaPublisher, Message
from tests.engines import or_skipped
from tests.waiting import until

pytestmark = pytest.mark.kafka

TOPIC = "tracking-events"
PATIENCE = 180.0


class Cluster(NamedTuple):
    nodes: Sequence[Process]
    bootstrap: str


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with or_skipped():
        nodes = brokers.cluster(packages.kafka_jars(), tmp_path, tmp_path / "logs")
        start_together(nodes)
    yield Cluster(nodes, ",".join(f"127.0.0.1:{each.ports[0]}" for each in nodes))
    for each in nodes:
        each.send(SIGKILL)  # nobody needs what is there, and a stop in order takes seconds
    stop_together(nodes)


def test_what_was_acknowledged_outlasts_a_broker_and_one_alone_acknowledges_nothing(
    cluster: Cluster,
) -> None:
    nodes, bootstrap = cluster
    assert create_topics(bootstrap, {}) == []
    drifts = create_topics(bootstrap, {}, replication=2)
    assert {each[1:] for each in map(astuple, drifts)} == {("replication", "2", "3")}
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for name in (TOPIC, "consent-state"):
        asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)])
        settings = next(iter(asked.values())).result(PATIENCE)
        assert settings["min.insync.replicas"].value == "2"
        partitions = admin.list_topics(name, timeout=PATIENCE).topics[name].partitions
        assert {len(each.replicas) for each in partitions.values()} == {3}

    publisher = KafkaPublisher(bootstrap, {"log_level": "0"}, max_pending=1_000, timeout=5.0)
    acknowledged: list[bytes] = []

    def publish(number: int) -> bool:
        values = [f"{number}-{each}".encode() for each in range(20)]
        try:
            publisher.send(TOPIC, [Message(each, each) for each in values]).result(PATIENCE)
        except NotStoredError:
            return False
        acknowledged.extend(values)
        return True

    until(lambda: publish(0), "three brokers to begin")
    nodes[0].send(SIGKILL)
    until(lambda: publish(1), "two brokers to take over")
    nodes[1].send(SIGKILL)
    stop_together(nodes[:2])
    assert not publish(2)
    for each in nodes[:2]:
        each.spawn()
    until(lambda: publish(3), "the others to be back")
    publisher.close()
    assert set(acknowledged) <= read(bootstrap, len(acknowledged))


def read(bootstrap: str, least: int) -> set[bytes]:
    """Read the topic to its end, of which so many messages have to be there."""
    source = consumer(bootstrap, "reader", {"log_level": "0"})
    source.assign([TopicPartition(TOPIC, each, 0) for each in range(4)])
    found: set[bytes] = set()
    until(
        lambda: (
            bool(found.update(each.value() for each in poll(source, 1_000, 0.2)))
            or len(found) >= least
        ),
        "what was acknowledged",
    )
    source.close()
    return found
