"""Who runs the broker: reads every byte on every topic."""

from collections.abc import Mapping, Sequence

from confluent_kafka import Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from lethe.demo_pipeline import PATIENCE, DemoError
from sinks.kafka import consumer, poll
from streams import kafka_login
from streams.settings import Settings

Place = tuple[str, int]  # topic and partition


class Onlooker:
    """Reads all topics of an installation, from now on."""

    def __init__(self, settings: Settings) -> None:
        kafka, options = settings.kafka, kafka_login.options(settings)
        # Not the reader: what it asks for waits behind its fetch, half a second for each partition.
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap, **options})
        self._source = consumer(kafka.bootstrap, f"{kafka.prefix}onlooker", options)
        self._places: list[Place] = [
            (name, partition)
            for name, topic in self._source.list_topics(timeout=10).topics.items()
            if name.startswith(kafka.prefix) and not name.startswith("__")
            for partition in topic.partitions
        ]
        self._reached = dict(self._ends())
        self._seen: list[Message] = []
        self._source.assign([TopicPartition(*place, at) for place, at in self._reached.items()])

    def seen(self) -> Sequence[Message]:
        """Return what has come until now; of each partition in order. Raise DemoError."""
        ends = self._ends()
        while any(self._reached[place] < end for place, end in ends.items()):
            found = poll(self._source, 1, PATIENCE)
            if not found:
                raise DemoError(f"waited {PATIENCE:g} s for the end of the topics")
            for message in found:
                self._reached[message.topic(), message.partition()] = message.offset() + 1
            self._seen += found
        return self._seen

    def close(self) -> None:
        """Let go of the connection."""
        self._source.close()

    def _ends(self) -> Mapping[Place, int]:
        asked = {TopicPartition(*place): OffsetSpec.latest() for place in self._places}
        return {
            (place.topic, place.partition): answer.result(10).offset
            for place, answer in self._admin.list_offsets(asked).items()
        }
