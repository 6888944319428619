"""The security lane: requests that servers answered, into alerts of attacks (S8).

What was counted before is in memory alone. A lane that starts reads the longest window before its
place once more, and raises what it finds there again, under the same id.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from privacy.abuse import Access, Alert, Attack, Rule, Rules, Watch
from privacy.outcome import Reason, Reject
from schemas.codec import WireError, decode, encode
from sinks.kafka import BatchProducer, commit, poll
from streams import metrics
from streams.accesses import TOPIC
from streams.ids import made_id
from streams.lanes.batch import Source
from streams.lanes.rejects import dead_letter
from streams.security_alerts import ALERTS, ANSWER_SECONDS
from streams.settings import Security
from streams.shared import Shared, now

NAME = "security"


class SecurityLane:
    """Watches one topic until told to stop. One thread, one consumer, a watch a partition."""

    def __init__(
        self,
        topic: str,
        alerts: str,
        dead_letters: str,
        rules: Rules,
        *,
        consumer: Consumer,
        producer: BatchProducer,
        batch: int,
        wait: float,
        clock: Callable[[], int],
    ) -> None:
        """Read ``batch`` messages at a time, waiting ``wait`` s for them; ``clock`` tells ms."""
        self._topic = topic
        self._alerts = alerts
        self._dead_letters = dead_letters
        self._rules = rules
        self._consumer = consumer
        self._producer = producer
        self._batch = batch
        self._wait = wait
        self._clock = clock
        self._watches: dict[int, Watch] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; raise on an outage, with nothing committed that was not told."""
        self._consumer.subscribe([self._topic], on_assign=self._assigned)
        try:
            while not stop.is_set():
                if messages := poll(self._consumer, self._batch, self._wait):
                    self._pass(messages)
        finally:
            self._consumer.close()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin where the longest window began, or where the lane was left, whichever is first."""
        since = self._clock() - self._rules.longest_seconds * 1_000
        wanted = [TopicPartition(each.topic, each.partition, since) for each in partitions]
        recent = consumer.offsets_for_times(wanted, timeout=ANSWER_SECONDS)
        left = consumer.committed(partitions, timeout=ANSWER_SECONDS)
        for place, then in zip(left, recent, strict=True):
            # Negative: nobody has read there yet, or nothing came since.
            if place.offset >= 0 <= then.offset:
                place.offset = min(place.offset, then.offset)
        self._watches = {each.partition: Watch(self._rules) for each in partitions}
        consumer.assign(left)

    def _pass(self, messages: Sequence[Source]) -> None:
        found: list[Alert] = []
        rejects: list[tuple[Source, Reject]] = []
        for message in messages:
            try:
                record = decode("access", message.value())
            except WireError as error:
                rejects.append((message, Reject(Reason(error.fault), "decode")))
                continue
            watch = self._watches.setdefault(message.partition(), Watch(self._rules))
            found += watch.see(_access(record))
        if found:
            keys = [(each.token or each.site).encode() for each in found]
            self._producer.send(
                self._alerts, [encode("security_alert", _told(a)) for a in found], keys
            )
        if rejects:
            at = self._clock()
            self._producer.send(
                self._dead_letters, [dead_letter(*each, NAME, at) for each in rejects]
            )
        if found or rejects:
            self._producer.stored()
        commit(self._consumer, messages)
        for each in found:
            metrics.SECURITY_ALERTS.labels(each.site, each.kind).inc()
        metrics.batch_done(NAME, len(messages) - len(rejects), rejects, {})


def security(shared: Shared, stop: threading.Event) -> None:
    """Run the security lane."""
    settings = shared.settings
    SecurityLane(
        settings.topic(TOPIC),
        settings.topic(ALERTS),
        settings.topic("dead-letters"),
        rules_of(settings.security),
        consumer=shared.consumer(NAME),
        producer=shared.producer(NAME),
        batch=settings.lanes.batch,
        wait=settings.lanes.wait_seconds,
        clock=now,
    ).run(stop)


def rules_of(settings: Security) -> Rules:
    """Return the rules as the settings have them."""
    counts = {
        kind.value: Rule(getattr(settings, kind), Rules().rule(kind).seconds) for kind in Attack
    }
    return Rules(
        **counts, error_share=settings.error_share, block_seconds=settings.block_minutes * 60
    )


def _access(record: dict[str, Any]) -> Access:
    at = round(record["at"].timestamp() * 1_000)
    names = ("site", "token", "method", "path", "status")
    return Access(at, *(record[name] for name in names))


def _told(alert: Alert) -> dict[str, Any]:
    who = alert.token or ""
    return {
        "id": made_id("attack", alert.kind, alert.site, who, str(alert.window)),
        "at": alert.at,
        "site": alert.site,
        "kind": alert.kind.value,
        "token": alert.token,
        "count": alert.count,
        "window_seconds": alert.seconds,
        "until": alert.until,
    }
