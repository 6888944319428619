"""The pipeline that is measured, and what the measures ask of it."""

from collections.abc import Mapping, Sequence
from functools import partial
from random import Random

from confluent_kafka import Producer, TopicPartition
from sqlalchemy import func, select

from bench.deletion.filling import fill
from bench.loops import Loop, Until
from privacy.lifecycle import ServiceEvent
from schemas.codec import encode
from sinks.kafka import SAFE, consumer
from sinks.kafka_admin import create_topics
from sinks.ledger import deletion
from sinks.ledger.tables import deletions
from sinks.signing import Signer
from streams import cases, kafka_login
from streams.cases.transitions import Transitions
from streams.deletion import LOOPS
from streams.deletion.announce import DELETIONS, Announcement
from streams.deletion.certify import Certifier
from streams.deletion.shred import Shredder
from streams.keys.prepare import prepare
from streams.shared import Shared, now


class Pipeline:
    """Topics, keys and an empty ledger, and what of the worker works on them."""

    def __init__(self, shared: Shared) -> None:
        settings, self.policy = shared.settings, shared.known_policy
        kafka, options = settings.kafka, kafka_login.options(settings)
        create_topics(
            kafka.bootstrap, options, kafka.prefix,
            departments=self.policy.departments, holders=self.policy.holders,
        )  # fmt: skip
        prepare(settings.secrets, self.policy)
        self.shared = shared
        self.ledger = shared.ledger
        self.random = Random(4)
        self.transitions = Transitions(self.policy, settings.topic, dict)
        self._events = Producer(
            {"bootstrap.servers": kafka.bootstrap, **SAFE, "linger.ms": 0, **options}
        )

    def fill(self, service: str, count: int, group: str | None = None) -> list[str]:
        """Keep cases; return their ids."""
        return fill(self.ledger, self.policy, service, count, self.random, group=group)

    def shredder(self) -> Shredder:
        """Return the worker's shred loop."""
        certifier = Certifier(
            self.ledger,
            Signer.under(self.shared.settings.secrets),
            controller=self.policy.controller.name,
            policy=self.policy.version,
            clock=now,
        )
        announcement = Announcement(self.policy, self.shared.settings.topic)
        return Shredder(self.ledger, self.shared.producer("delete"), announcement, certifier, now)

    def report(
        self, event: ServiceEvent, service: str, case_id: str | None, group: str | None = None
    ) -> tuple[str, int]:
        """Send a service event; return its id, and when that was (milliseconds since 1970)."""
        at, of = now(), case_id or group or ""
        event_id = f"{event}-{of}"
        content = {
            "event_id": event_id,
            "service": service,
            "event": event.value,
            "case_id": case_id,
            "group": group,
            "at": at,
            "by": "bench",
            "details": {},
        }
        topic = self.shared.settings.topic(cases.EVENTS)
        self._events.produce(topic, encode("service_event", content), of.encode())
        if self._events.flush(30):
            raise RuntimeError("the broker did not take a service event")
        return event_id, at

    def loops(self) -> list[Loop]:
        """Return the worker's loops from service events to deletions."""
        return [partial(each, self.shared) for each in (*cases.LOOPS.values(), LOOPS["delete"])]

    def warm(self, until: Until, case_ids: Sequence[str]) -> None:
        """Have cases deleted, so that everybody reads and works."""
        for each in case_ids:
            self.report(ServiceEvent.DELIVERED, "samples", each)
        until(lambda: self.announced(case_ids[-1]))
        until(lambda: not self.busy())

    def announced(self, case_id: str) -> bool:
        """Tell whether a deletion of the case is announced."""
        with self.ledger.reading() as connection:
            found = deletion.show(connection, case_id)
        return found is not None and found.announced_at is not None

    def busy(self) -> bool:
        """Tell whether a deletion that was begun is not announced yet."""
        with self.ledger.reading() as connection:
            steps = (deletion.to_shred, deletion.to_scrub, deletion.to_announce)
            return any(step(connection, 1) for step in steps)

    def last(self, service: str) -> Mapping[str, int]:
        """Return when the last deletion of a service's cases took each of its steps."""
        steps = ("shredded_at", "unreadable_at", "announced_at", "completed_at")
        columns = [func.max(deletions.c[each]).label(each) for each in steps]
        query = select(*columns).where(deletions.c.service == service)
        with self.ledger.reading() as connection:
            return dict(connection.execute(query).mappings().one())

    def require(self, service: str, count: int, *, others: int = 0) -> None:
        """Raise RuntimeError unless so many cases were deleted and all were told of it.

        ``others`` are deletions of other services.
        """
        done = deletions.c.service == service, deletions.c.certificate.is_not(None)
        with self.ledger.reading() as connection:
            found = connection.scalar(select(func.count()).where(*done))
        told = {
            name: self._messages(name)
            for name in (DELETIONS, *(f"cases-{each}" for each in self.policy.departments))
        }
        total = count + others
        # To those of the departments something of nobody is written as well.
        if found != count or told[DELETIONS] != total or min(told.values()) < total:
            raise RuntimeError(f"of {count} cases, {found} were deleted, and told were {told}")

    def _messages(self, name: str) -> int:
        """Return how many messages were written to a topic that nothing expires on meanwhile."""
        kafka, options = self.shared.settings.kafka, kafka_login.options(self.shared.settings)
        reader = consumer(kafka.bootstrap, f"{kafka.prefix}count", options)
        topic = self.shared.settings.topic(name)
        places = reader.list_topics(topic, timeout=10).topics[topic].partitions
        ends = [
            reader.get_watermark_offsets(TopicPartition(topic, each), timeout=10)[1]
            for each in places
        ]
        reader.close()
        return sum(ends)
