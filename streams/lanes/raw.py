"""Keep full addresses on the raw topic for moments: delete what is read, warn when reading is slow.

The topic's retention (15 minutes) is the last line, not the rule.
"""

import time
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.registry import topics
from streams import metrics
from streams.lanes.source import Source

DELETE_EVERY = 1.0  # seconds
ALARM_SECONDS = int(topics()["tracking-events-raw"].config["retention.ms"]) / 2000

_log = structlog.get_logger()


class RawTopic:
    """Told after each commit of the raw lane."""

    def __init__(self, admin: AdminClient, clock: Callable[[], float] = time.time) -> None:
        self._admin = admin
        self._clock = clock
        self._deleted_at = 0.0

    def __call__(self, consumer: Consumer, messages: Sequence[Source]) -> None:
        """Delete what is committed, at most once a second, and tell how old the batch was."""
        now = self._clock()
        age = now - min(message.timestamp()[1] for message in messages) / 1000
        metrics.RAW_OLDEST_SECONDS.set(age)
        if age > ALARM_SECONDS:
            _log.error("raw_topic_read_too_slowly", topic=messages[0].topic(), seconds=round(age))
        if now - self._deleted_at >= DELETE_EVERY:
            self._deleted_at = now
            self.delete(consumer.position(consumer.assignment()))

    def delete(self, positions: Sequence[TopicPartition]) -> None:
        """Ask the broker to delete what lies before ``positions``; a refusal is logged."""
        before = [each for each in positions if each.offset > 0]
        for partition, done in self._admin.delete_records(before).items():
            try:
                done.result(10)
            except KafkaException as error:
                _log.error(
                    "records_not_deleted",
                    topic=partition.topic,
                    partition=partition.partition,
                    reason=error.args[0].name(),
                )
