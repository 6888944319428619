"""Publishing for entrances: a batch is either known to be stored, or refused.

``KafkaPublisher`` and ``MemoryPublisher`` keep the same promises and pass the same tests.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Delivered

from sinks.kafka import SAFE, NotStoredError

_log = structlog.get_logger()


class Message(NamedTuple):
    """What is published: ``key`` decides the partition, None takes any."""

    key: bytes | None
    value: bytes


class Place(NamedTuple):
    """Where a message lies. ``offset`` is negative where the broker stored it and did not say."""

    partition: int
    offset: int


Stored = Future[Sequence[Place]]
"""Done when all of a batch is stored: where each message lies, in their order."""


class Publisher(Protocol):
    """Where an entrance puts its messages."""

    @property
    def pending(self) -> int:
        """Messages that are neither stored nor refused yet."""
        ...

    def send(self, topic: str, messages: Sequence[Message]) -> Stored:
        """Publish ``messages``; the future is done when every one is stored by all replicas.

        It holds NotStoredError when one is not, or when too many wait already; some of the batch
        may be stored even so, and a retry stores those again. Never blocks, never raises.
        """
        ...

    def ready(self, topic: str) -> bool:
        """Tell whether the broker answers and has ``topic``. Blocks for up to two seconds."""
        ...

    def close(self) -> None:
        """Wait for what is pending, within the delivery timeout; then every future is done."""
        ...


class KafkaPublisher:
    """Publishes through librdkafka: ``acks=all``, idempotent, Java's partitioner.

    ``max_pending`` messages may wait; ``timeout`` (seconds) is how long one may take.
    """

    def __init__(
        self, bootstrap: str, options: Mapping[str, str], *, max_pending: int, timeout: float = 5.0
    ) -> None:
        self._config = {
            "bootstrap.servers": bootstrap,
            **SAFE,
            "linger.ms": 5,
            "delivery.timeout.ms": int(timeout * 1000),
            "queue.buffering.max.messages": max_pending,
            "topic.metadata.propagation.max.ms": int(timeout * 1000),
            "error_cb": self._on_error,
            "log_level": 2,  # critical; lesser ones come ten times a second while a broker is away
            **options,
        }
        self._max_pending = max_pending
        self._timeout = timeout
        self._fatal = threading.Event()
        self._closing = threading.Event()
        self._producer = Producer(self._config)
        self._thread = threading.Thread(target=self._poll, name="publisher", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Messages that are neither stored nor refused yet."""
        return len(self._producer)

    def send(self, topic: str, messages: Sequence[Message]) -> Stored:
        """Publish ``messages``; see ``Publisher``."""
        batch = _Batch(len(messages))
        if self.pending + len(messages) > self._max_pending:
            batch.refuse("too many messages wait for the broker")
            return batch.stored
        items = [
            {"key": message.key, "value": message.value, "callback": partial(batch, index)}
            for index, message in enumerate(messages)
        ]
        if self._producer.produce_batch(topic, items) != len(items):
            batch.refuse("not all messages could be queued")
        return batch.stored

    def ready(self, topic: str) -> bool:
        """Tell whether the broker answers and has ``topic``; see ``Publisher``."""
        try:
            found = self._producer.list_topics(topic, timeout=2.0).topics[topic]
        except KafkaException:
            return False
        return found.error is None

    def close(self) -> None:
        """Wait for what is pending and let go; see ``Publisher``."""
        self._closing.set()
        self._thread.join()
        if self._producer.flush(self._timeout):
            self._producer.purge()
            self._producer.flush(1.0)

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.1)
            if self._fatal.is_set():
                # An idempotent producer that lost its sequence refuses everything from then on.
                lost, self._producer = self._producer, Producer(self._config)
                self._fatal.clear()
                lost.purge()
                lost.flush(self._timeout)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._TRANSPORT:  # noqa: SLF001 - librdkafka's own; see log_level
            _log.warning("broker_error", reason=error.name())
        if error.fatal():
            self._fatal.set()


class MemoryPublisher:
    """Keeps what is published in ``stored``; ``available = False`` is a broker that is gone.

    Its topics have one partition.
    """

    def __init__(self) -> None:
        self.stored: list[tuple[str, Message]] = []
        self.available = True
        self.pending = 0
        self._ends: Counter[str] = Counter()

    def send(self, topic: str, messages: Sequence[Message]) -> Stored:
        """Publish ``messages``; see ``Publisher``."""
        batch = _Batch(len(messages))
        if not self.available:
            batch.refuse("not stored")
            return batch.stored
        for index, message in enumerate(messages):
            self.stored.append((topic, message))
            batch.put(index, Place(0, self._ends[topic]))
            self._ends[topic] += 1
        return batch.stored

    def ready(self, topic: str) -> bool:
        """Tell whether the broker is there; it has every topic."""
        del topic
        return self.available

    def close(self) -> None:
        """Nothing is pending, ever."""


class _Batch:
    """Counts one batch's delivery reports down; called by librdkafka with each message's."""

    def __init__(self, count: int) -> None:
        self.stored: Stored = Future()
        self.stored.set_running_or_notify_cancel()  # a caller that left changes nothing
        self._places = [Place(-1, -1)] * count
        self._left = count
        if not count:
            self.stored.set_result(())

    def __call__(self, index: int, error: KafkaError | None, message: Delivered) -> None:
        if error is not None:
            self.refuse(error.name())
        else:
            self.put(index, Place(message.partition(), message.offset()))

    def put(self, index: int, place: Place) -> None:
        self._places[index] = place
        self._left -= 1
        if not self._left:
            with suppress(InvalidStateError):
                self.stored.set_result(self._places)

    def refuse(self, why: str) -> None:
        with suppress(InvalidStateError):
            self.stored.set_exception(NotStoredError(why))
