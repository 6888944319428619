"""Whether a submission may still lie unread while an event of its case is there.

Whoever reports an event knows the case, so that its submission was stored before. When all is read
that was on the topic when the event was met, the submission will not come. Time alone does not say
so: after an outage an event may be old and its submission unread, and a case whose end is refused
would be kept for ever.
"""

import time
from collections.abc import Callable, Mapping

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from sinks.kafka import partitions

ASK_SECONDS = 1.0  # for an answer; the ledger waits meanwhile
AGAIN_SECONDS = 5.0  # after none came


class Unread:
    """Remembers, of the event that each partition waits at, how far submissions went then."""

    def __init__(
        self, consumer: Consumer, topic: str, steady: Callable[[], float] = time.monotonic
    ) -> None:
        """Look for what the group of ``consumer`` has committed of ``topic``."""
        self._consumer = consumer
        self._topic = topic
        self._steady = steady
        self._met: dict[int, tuple[int, Mapping[int, tuple[int, int]]]] = {}
        self._not_before = 0.0

    def before(self, event: Message) -> bool:
        """Tell whether a submission of before ``event`` may be unread; yes, if nobody knows."""
        if self._steady() < self._not_before:
            return True
        try:
            return self._is_unread(event.partition(), event.offset())
        except KafkaException:
            self._not_before = self._steady() + AGAIN_SECONDS
            return True

    def _is_unread(self, partition: int, offset: int) -> bool:
        met, marks = self._met.get(partition, (-1, {}))
        if met != offset:
            marks = self._marks()
            self._met[partition] = offset, marks
        places = [TopicPartition(self._topic, each) for each in marks]
        return any(
            max(each.offset, marks[each.partition][0]) < marks[each.partition][1]
            for each in self._consumer.committed(places, timeout=ASK_SECONDS)
        )

    def _marks(self) -> Mapping[int, tuple[int, int]]:
        """Return the first offset of each partition of the submissions, and the next one."""
        return {
            each: self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, each), timeout=ASK_SECONDS
            )
            for each in partitions(self._consumer, self._topic, ASK_SECONDS)
        }
