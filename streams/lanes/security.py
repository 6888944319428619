"""The security lane: requests that servers answered, into alerts of attacks (S8).

What was counted before is in memory alone. With each place that is committed goes the time of the
last message before it: a lane that starts reads from the longest window before that time on, and
tells nothing of it that was told. What it raises once more has the same id.
"""

import re
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from privacy.abuse import Access, Alert, Attack, Rule, Rules, Watch
from privacy.outcome import Reason, Reject
from schemas.codec import WireError, decode, encode
from sinks.kafka import BatchProducer, commit, poll
from streams import metrics
from streams.accesses import TOPIC
from streams.ids import made_id
from streams.lanes.rejects import dead_letter
from streams.lanes.source import Source
from streams.security_alerts import ALERTS, ANSWER_SECONDS
from streams.settings import Security
from streams.shared import Shared, now

NAME = "security"

_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)


class SecurityLane:
    """Watches one topic until told to stop. One thread, one consumer, one watch."""

    def __init__(
        self,
        topic: str,
        alerts: str,
        dead_letters: str,
        rules: Rules,
        sites: Collection[str],
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
        self._sites = sites
        self._consumer = consumer
        self._producer = producer
        self._batch = batch
        self._wait = wait
        self._clock = clock
        self._watch = Watch(rules)
        self._told: dict[int, int] = {}  # by partition: the place that was committed at the start

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
        """Begin anew, all that we have now, a longest window before where we were."""
        committed = consumer.committed(partitions, timeout=ANSWER_SECONDS)
        left = [each for each in committed if each.offset >= 0]
        self._watch = Watch(self._rules)
        self._told = {each.partition: each.offset for each in left}
        before = self._rules.longest_seconds * 1_000
        wanted = [
            TopicPartition(each.topic, each.partition, max(0, int(each.metadata) - before))
            for each in left
            if each.metadata
        ]
        found = consumer.offsets_for_times(wanted, timeout=ANSWER_SECONDS) if wanted else ()
        for each in found:
            # Negative: nothing is kept from then on.
            if 0 <= each.offset < self._told[each.partition]:
                next(it for it in left if it.partition == each.partition).offset = each.offset
        consumer.assign(committed)

    def _pass(self, messages: Sequence[Source]) -> None:
        found: list[Alert] = []
        rejects: list[tuple[Source, Reject]] = []
        new: list[Source] = []
        for message in messages:
            read = self._read(message)
            alerts = list(self._watch.see(read)) if isinstance(read, Access) else []
            if message.offset() < self._told.get(message.partition(), 0):
                continue
            new.append(message)
            found += alerts
            if isinstance(read, Reject):
                rejects.append((message, read))
        self._tell(found, rejects)
        if new:
            commit(self._consumer, new, lambda last: str(last.timestamp()[1]))
        for each in found:
            metrics.SECURITY_ALERTS.labels(each.site, each.kind).inc()
        metrics.batch_done(NAME, len(new) - len(rejects), rejects, {})

    def _tell(self, found: Sequence[Alert], rejects: Sequence[tuple[Source, Reject]]) -> None:
        """Publish alerts and dead letters, and return when all of them are stored."""
        if found:
            keys = [(each.token or each.site).encode() for each in found]
            values = [encode("security_alert", _told(each)) for each in found]
            self._producer.send(self._alerts, values, keys)
        if rejects:
            at = self._clock()
            letters = [dead_letter(*each, NAME, at) for each in rejects]
            self._producer.send(self._dead_letters, letters)
        if found or rejects:
            self._producer.stored()

    def _read(self, message: Source) -> Access | Reject:
        """Read a message, whoever wrote it: no alert may name an address, or a site unheard of."""
        try:
            record = decode("access", message.value())
        except WireError as error:
            return Reject(Reason(error.fault), "decode")
        token, site = record["token"], record["site"]
        if token is not None and not _TOKEN.fullmatch(token):
            return Reject(Reason.FULL_ADDRESS, "read", ("token",))
        if site and site not in self._sites:
            return Reject(Reason.UNKNOWN_SITE, "read", ("site",))
        # Nothing was answered after it was told: a clock ahead would block somebody for as long.
        at = min(round(record["at"].timestamp() * 1_000), message.timestamp()[1])
        return Access(at, site, token, record["method"], record["path"], record["status"])


def security(shared: Shared, stop: threading.Event) -> None:
    """Run the security lane."""
    settings = shared.settings
    SecurityLane(
        settings.topic(TOPIC),
        settings.topic(ALERTS),
        settings.topic("dead-letters"),
        rules_of(settings.security),
        settings.sites,
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
