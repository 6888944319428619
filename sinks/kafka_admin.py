"""Topics of the catalogue on a broker: created if missing, compared if there."""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from schemas.registry import Topic, topics_of

MOST_COPIES = 3  # of each partition, unless the settings say so
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Drift:
    """A topic that is not as the catalogue says."""

    topic: str
    setting: str
    wanted: str
    found: str


def create_topics(
    bootstrap: str,
    options: Mapping[str, str],
    prefix: str = "",
    replication: int | None = None,
    *,
    departments: Iterable[str] = (),
    holders: Iterable[str] = (),
) -> list[Drift]:
    """Create the catalogue's topics; return how those that were there differ.

    ``departments`` and ``holders`` are the policy's: each has a topic of its own, for its cases
    or its receipts. ``replication``: copies of each partition; None: as many as there are brokers,
    3 at most. Of three or more, all but one have to have what is acknowledged.
    Nothing that is there is changed. Raises KafkaException when the broker does not answer.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, **options})
    copies = replication or min(MOST_COPIES, len(admin.list_topics(timeout=ANSWER_SECONDS).brokers))
    kept = {"min.insync.replicas": str(copies - 1)} if copies > 2 else {}
    wanted = {
        prefix + topic.name: replace(topic, config={**topic.config, **kept})
        for topic in topics_of(departments, holders).values()
    }
    asked = admin.create_topics(
        [
            NewTopic(name, topic.partitions, copies, config=dict(topic.config))
            for name, topic in wanted.items()
        ],
        operation_timeout=30,
    )
    there = []
    for name, done in asked.items():
        try:
            done.result(40)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            there.append(name)
    _await(admin, wanted)
    return [drift for name in there for drift in _drifts(admin, name, wanted[name], copies)]


def _await(admin: AdminClient, names: Collection[str]) -> None:
    """Wait until the broker serves what it has made: that follows a moment later."""
    deadline = time.monotonic() + 30
    while not _served(admin, names):
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        time.sleep(0.05)


def _served(admin: AdminClient, names: Collection[str]) -> bool:
    """Tell whether each topic is there and each partition's leader answers."""
    found = admin.list_topics(timeout=ANSWER_SECONDS).topics
    if any(name not in found for name in names):
        return False
    places = [TopicPartition(name, each) for name in names for each in found[name].partitions]
    asked = admin.list_offsets({each: OffsetSpec.earliest() for each in places})
    try:
        for answer in asked.values():
            answer.result(30)
    except KafkaException as error:
        if error.args[0].code() not in _NOT_YET:
            raise
        return False
    return True


_NOT_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}


def _drifts(admin: AdminClient, name: str, topic: Topic, copies: int) -> list[Drift]:
    partitions = admin.list_topics(name, timeout=ANSWER_SECONDS).topics[name].partitions
    fewest = min(len(each.replicas) for each in partitions.values())
    found = {
        "partitions": (str(topic.partitions), str(len(partitions))),
        "replication": (str(copies), str(fewest)),
    }
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)])
    config = next(iter(asked.values())).result(30)
    for setting, value in topic.config.items():
        if setting in config:  # the embedded broker knows some of them only
            found[setting] = (value, config[setting].value)
    return [
        Drift(name, setting, wanted, there)
        for setting, (wanted, there) in found.items()
        if wanted != there
    ]
