"""The load lane: anonymised events into ClickHouse, each offset range exactly once.

For each partition, in this order:

    commit(first, metadata={"end": last})   what is about to be inserted, remembered by Kafka
    INSERT ... token topic:partition:first-last
    commit(last + 1)

After a crash the range in the metadata is read again and inserted again with the same token: if
the first insert arrived, ClickHouse drops the second. So a range, once announced, never changes.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Consumer, Message, TopicPartition

from privacy.outcome import Reason, Reject
from privacy.tracking import EARLIEST_MS, UUID
from schemas.columns import decode_batch
from sinks.kafka import BatchProducer, poll
from streams import metrics
from streams.lanes.batch import Batch
from streams.lanes.rejects import dead_letter
from streams.lanes.source import Source

LATEST_MS = 4_102_444_800_000  # 2100-01-01: a month's partition that is dropped in the end


class Facts(Protocol):
    """Where anonymised events end up."""

    def write(self, columns: Mapping[str, pa.Array], token: str) -> None:
        """Insert rows unless ``token`` was inserted before; return when they are durable."""
        ...


class LoadLane:
    """Loads one topic until told to stop. One thread, one consumer."""

    name = "load"

    def __init__(
        self,
        topic: str,
        dead_letters: str,
        consumer: Consumer,
        producer: BatchProducer,
        facts: Facts,
        *,
        batch: int,
        wait: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._topic = topic
        self._dead_letters = dead_letters
        self._consumer = consumer
        self._producer = producer
        self._facts = facts
        self._batch = batch
        self._wait = wait
        self._clock = clock
        self._announced: dict[int, int] = {}
        self._waiting: dict[int, list[Message]] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; raise on an outage, after which the next start goes on exactly."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        try:
            while not stop.is_set():
                for message in poll(self._consumer, self._batch, self._wait):
                    self._waiting.setdefault(message.partition(), []).append(message)
                for partition in list(self._waiting):
                    self._take(partition)
        finally:
            self._consumer.close()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Learn which ranges were announced and perhaps not finished."""
        self._waiting.clear()
        self._announced = {
            position.partition: json.loads(position.metadata)["end"]
            for position in consumer.committed(partitions, timeout=30)
            if position.offset >= 0 and position.metadata
        }

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for position in partitions:
            self._waiting.pop(position.partition, None)
            self._announced.pop(position.partition, None)

    def _take(self, partition: int) -> None:
        """Insert what waits of a partition; first, and apart, the range announced before."""
        waiting = self._waiting.pop(partition)
        end = self._announced.get(partition)
        if end is None:
            self._insert(partition, waiting)
            return
        count = sum(message.offset() <= end for message in waiting)
        if waiting[-1].offset() < end:
            self._waiting[partition] = waiting
            return
        del self._announced[partition]
        for messages in (waiting[:count], waiting[count:]):
            if messages:
                self._insert(partition, messages)

    def _insert(self, partition: int, messages: Sequence[Source]) -> None:
        first, last = messages[0].offset(), messages[-1].offset()
        self._commit(partition, first, json.dumps({"end": last}))
        batch = loadable(messages)
        rejects = batch.rejects
        if len(batch):
            self._facts.write(batch.columns, f"{self._topic}:{partition}:{first}-{last}")
        now = int(self._clock() * 1000)
        self._producer.send(
            self._dead_letters,
            [dead_letter(source, reject, self.name, now) for source, reject in rejects],
        )
        self._producer.stored()
        self._commit(partition, last + 1, "")
        metrics.batch_done(self.name, len(batch), rejects, {})

    def _commit(self, partition: int, offset: int, metadata: str) -> None:
        self._consumer.commit(
            offsets=[TopicPartition(self._topic, partition, offset, metadata=metadata)],
            asynchronous=False,
        )


def loadable(messages: Sequence[Source]) -> Batch:
    """Return what the table can hold; what it cannot would stop the lane for ever.

    The anonymise lane lets none of that through. No clock decides: a range that is read again is
    the same range.
    """
    decoded = decode_batch("anonymised_event", [message.value() for message in messages])
    batch = Batch(decoded.rows, messages, decoded.index, 0)
    batch.rejects = [(messages[i], Reject(Reason(fault), "decode")) for i, fault in decoded.faults]
    fit = pc.match_substring_regex(batch.columns["event_id"], UUID)
    batch.reject(
        ~fit.to_numpy(zero_copy_only=False), Reason.BAD_EVENT_ID, "require_event_id", "event_id"
    )
    status = batch.numbers("status")
    wrong = (status != 0) & ((status < 100) | (status > 599))
    batch.reject(wrong, Reason.BAD_STATUS, "require_status", "status")
    times = batch.numbers("occurred_at")
    absurd = (times < EARLIEST_MS) | (times >= LATEST_MS)
    batch.reject(absurd, Reason.ABSURD_TIME, "require_plausible_times", "occurred_at")
    batch.leave_rejected()
    return batch
