"""Kafka for the lanes: consumers with explicit offsets, and a producer that knows what failed."""

import threading
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from sinks.bounded import BoundedConsumer

# The embedded broker answers a fetch with the whole backlog, whatever the limits; Apache Kafka
# keeps to them and never comes near this.
RECEIVE_MAX = 2_000_000_000

ANY = -1  # partition: the one that the key says

# What is between may have forgotten a connection, and nothing comes of it any more: neither data
# nor an end. librdkafka would wait for a minute, and whatever is asked of a broker takes a second.
# One that is back is looked for each second, not every ten, in which an entrance stores nothing.
LIVELY: Mapping[str, str | bool | int] = {
    "reconnect.backoff.max.ms": 1_000,
    "socket.timeout.ms": 10_000,
    "socket.keepalive.enable": True,
}

# What every producer of ours promises: nothing lost, nothing doubled, Java's partitions.
SAFE: Mapping[str, str | bool | int] = {
    **LIVELY,
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "request.timeout.ms": 10_000,  # then it is sent again; see LIVELY
}


class NotStoredError(RuntimeError):
    """Raised when the broker has not stored what it was given; nothing may be committed then."""


def consumer(bootstrap: str, group: str, options: Mapping[str, str]) -> Consumer:
    """Return a consumer that commits only when told to and starts at the oldest message."""
    return BoundedConsumer(
        {
            "bootstrap.servers": bootstrap,
            **LIVELY,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "receive.message.max.bytes": RECEIVE_MAX,
            "queued.max.messages.kbytes": 65_536,
            "fetch.queue.backoff.ms": 10,
            **options,
        }
    )


def partitions(source: Consumer, topic: str, seconds: float = 10.0) -> list[int]:
    """Return a topic's partitions. Raise KafkaException: there is none, or nobody says."""
    found = source.list_topics(topic, timeout=seconds).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return list(found.partitions)


def poll(source: Consumer, most: int, seconds: float) -> list[Message]:
    """Return up to ``most`` messages, waiting at most ``seconds``; raise on a broker's error.

    What passes by itself is no error: who asks again is answered.
    """
    messages: list[Message] = source.consume(most, seconds)
    for message in messages:
        if (error := message.error()) is not None:
            if error.code() in _PASSING:
                return [each for each in messages if each.error() is None]
            raise KafkaException(error)
    return messages


def commit(
    source: Consumer, messages: Sequence[Message], note: Callable[[Message], str] = lambda _: ""
) -> bool:
    """Commit ``messages``, all that was read; False when others have them now, and read them again.

    They, and not what the client handed over last: that may have been something else since.
    ``note`` says what to remember with the last message of each partition.
    """
    last: dict[tuple[str, int], Message] = {}
    for message in messages:
        place = message.topic(), message.partition()
        if place not in last or message.offset() > last[place].offset():
            last[place] = message
    try:
        source.commit(
            offsets=[
                TopicPartition(*place, each.offset() + 1, metadata=note(each))
                for place, each in last.items()
            ],
            asynchronous=False,
        )
    except KafkaException as error:
        if error.args[0].code() not in _MOVED:
            raise
        return False
    return True


def put_back(source: Consumer, messages: Sequence[Message]) -> None:
    """Have ``messages``, the last that were read of their partitions, handed over once more."""
    first: dict[tuple[str, int], int] = {}
    for message in messages:
        first.setdefault((message.topic(), message.partition()), message.offset())
    for place, offset in first.items():
        try:
            source.seek(TopicPartition(*place, offset))
        except KafkaException as error:
            if error.args[0].code() not in _MOVED:  # others read it then
                raise


_MOVED = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._NO_OFFSET,  # noqa: SLF001 - none of what was read is ours any more
    KafkaError._STATE,  # noqa: SLF001 - likewise, when put back
}
_PASSING = {
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka's own codes are named so
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._PARTITION_EOF,  # noqa: SLF001
    # Who waited for something else that long reads for the group no more, and joins it again.
    KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001
}


class BatchProducer:
    """Publishes batches and says when all of it is stored (``acks=all``, idempotent)."""

    def __init__(self, bootstrap: str, options: Mapping[str, str]) -> None:
        self._failed = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                **SAFE,
                # Nothing but full requests leave before ``stored``, which flushes, and partitions
                # fill alike. librdkafka has one request a partition under way when idempotent, and
                # spins while a second waits: half the CPU time of publishing, with its defaults.
                "linger.ms": 1_000,
                "sticky.partitioning.linger.ms": 0,
                "batch.num.messages": 20_000,
                "batch.size": 1_000_000,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 1_000_000,
                # One callback a message would cost more than the message; failures suffice.
                "delivery.report.only.error": True,
                **options,
            }
        )

    def send(
        self,
        topic: str,
        values: Sequence[bytes | None],
        keys: Sequence[bytes] | None = None,
        partition: int = ANY,
    ) -> None:
        """Queue values, None for a tombstone; ``stored`` tells whether they arrived.

        ``partition`` is where they go, whatever their keys.
        """
        messages: list[dict[str, bytes | None]] = (
            [{"value": value} for value in values]
            if keys is None
            else [{"value": value, "key": key} for value, key in zip(values, keys, strict=True)]
        )
        queued = self._producer.produce_batch(topic, messages, partition, on_delivery=self._report)
        if queued != len(messages):
            self._failed.set()

    def stored(self, seconds: float = 30.0) -> None:
        """Wait until everything sent is stored; raise NotStoredError when it is not."""
        if self._producer.flush(seconds) or self._failed.is_set():
            raise NotStoredError("the broker did not store all of a batch")

    def _report(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.set()
