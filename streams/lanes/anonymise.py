"""The anonymise lane: consume tracking events, take them along the path, publish, then commit.

A crash anywhere repeats the last batch: events keep their ids, so the tables count them once. On
the raw topic the messages behind the commit are deleted at once, and a lane that falls behind
raises an alarm long before the topic's short retention would lose anything.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from confluent_kafka import Consumer

from privacy.outcome import Reason, Reject
from schemas.columns import arrow_schema, decode_batch, encode_batch
from sinks.kafka import BatchProducer, commit
from streams import metrics
from streams.lanes.batch import Batch, Result
from streams.lanes.brake import Brake
from streams.lanes.reader import Reader
from streams.lanes.rejects import dead_letter
from streams.lanes.rules import Rules
from streams.lanes.source import Source
from streams.lanes.steps import Step


def anonymise(path: Sequence[Step], rules: Rules, messages: Sequence[Source], now: int) -> Result:
    """Take ``tracking_event`` messages along the path. ``now`` in milliseconds since 1970."""
    decoded = decode_batch("tracking_event", [message.value() for message in messages])
    batch = Batch(decoded.rows, messages, decoded.index, now)
    batch.rejects = [(messages[i], Reject(Reason(fault), "decode")) for i, fault in decoded.faults]
    for step in path:
        step(rules, batch)
    schema = arrow_schema("anonymised_event")
    columns = [batch.columns[each.name].cast(each.type) for each in schema]
    values = encode_batch("anonymised_event", pa.record_batch(columns, schema=schema))
    return Result(values, batch.rejects, batch.remarks)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a lane publishes: topic names with the installation's prefix."""

    events: str
    dead_letters: str


class AnonymiseLane:
    """Runs the path between two topics until told to stop. One thread, one consumer."""

    def __init__(
        self,
        name: str,
        path: Sequence[Step],
        rules: Callable[[], Rules],
        *,
        reader: Reader,
        producer: BatchProducer,
        outputs: Outputs,
        brake: Brake,
        committed: Callable[[Consumer, Sequence[Source]], None] = lambda *_: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take ``rules`` anew for each batch; tell ``committed`` what was committed."""
        self.name = name
        self._path = path
        self._rules = rules
        self._reader = reader
        self._producer = producer
        self._outputs = outputs
        self._brake = brake
        self._committed = committed
        self._clock = clock

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; raise on an outage, with nothing committed that is not stored."""
        self._reader.run(self._pass, stop)

    def _pass(self, messages: Sequence[Source]) -> None:
        now = int(self._clock() * 1000)
        result = anonymise(self._path, self._rules(), messages, now)
        self._brake.judge(len(messages), len(result.rejects))
        self._producer.send(self._outputs.events, result.values)
        self._producer.send(
            self._outputs.dead_letters,
            [dead_letter(source, reject, self.name, now) for source, reject in result.rejects],
        )
        self._producer.stored()
        consumer = self._reader.consumer
        if commit(consumer, messages):
            self._committed(consumer, messages)
        metrics.batch_done(self.name, len(result.values), result.rejects, result.remarks)
