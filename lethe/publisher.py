"""The SDK: publish tracking events and consents straight to Kafka (S9, S11, S15).

    with Publisher("kafka.example:9092", "shop.example") as publisher:
        publisher.publish({"type": "page_view", "page": "/"}, address=client, user_agent=agent)
        publisher.consent(
            cookie_id, "ads", "given", notice_id="cookies", notice_version="2026-10", how="banner"
        )

What leaves the process has passed the same gate as in the collector: fields that are no tracking
event's are refused by name, and the address is shortened. Needs the base install alone.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.producer.future import FutureRecordMetadata

from privacy import consent_request
from privacy.consent import epoch_of
from privacy.contract import Problem
from privacy.pseudonym import Salt
from privacy.tracking import enter, key, problems
from schemas.codec import encode

TOPIC = "tracking-events"
RAW_TOPIC = "tracking-events-raw"
CONSENT_TOPIC = "consent-changes"

# At DEBUG kafka-python writes the key and value of every message to the log.
logging.getLogger("kafka").setLevel(logging.INFO)


class InvalidEventError(ValueError):
    """Raised before anything is sent. ``problems`` name fields and rules, never a value."""

    def __init__(self, found: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.field} {problem.rule}" for problem in found))
        self.problems = tuple(found)


class PublishFailedError(RuntimeError):
    """Raised when the broker did not confirm an event or a consent: it may be stored, or not.

    Publish it again with the same ``event_id`` or ``change_id``; it is counted once.
    """


class Receipt:
    """What ``publish`` returns at once; ``result`` waits for the broker."""

    def __init__(self, event_id: str, future: FutureRecordMetadata) -> None:
        self.event_id = event_id
        self._future = future

    def result(self, timeout: float = 30.0) -> None:
        """Wait until all in-sync replicas have the event, or raise PublishFailedError."""
        try:
            self._future.get(timeout=timeout)
        except KafkaError as error:
            raise _failed(error) from None


class Publisher:
    """Checks, shortens and publishes one site's events. Threads may share it; processes may not.

    ``bootstrap`` is ``host:port``, several with commas. ``prefix`` is what the pipeline's settings
    put before each topic. ``kafka_options`` go to kafka-python's producer (``security_protocol``,
    ``sasl_mechanism``, ...); acknowledgement by all replicas, retries and the partitioner, which
    is the other clients', are not for choice.

    ``salt`` gives the day's salt where this process shares the pipeline's key store. Without it
    the lane makes the visitor hash from what is left of the address: visitors without a cookie
    who share a network and a browser then count as one.

    ``raw=True`` is for producers that cannot shorten. **The full address then leaves the
    process** and stays on the broker, on ``tracking-events-raw``, until the lane has shortened it
    or for 15 minutes at most. Don't use it where the default works.

    Raises PublishFailedError when no broker answers.
    """

    def __init__(
        self,
        bootstrap: str,
        site: str,
        *,
        prefix: str = "",
        raw: bool = False,
        salt: Callable[[], Salt] | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        ids: Callable[[], str] = lambda: str(uuid.uuid4()),  # noqa: TID251 - the edge: ids are made here
        **kafka_options: Any,
    ) -> None:
        self._site = site
        self._raw = raw
        self._topic = prefix + (RAW_TOPIC if raw else TOPIC)
        self._consents = prefix + CONSENT_TOPIC
        self._salt = salt
        self._clock = clock
        self._ids = ids
        self._failures = 0
        self._lock = threading.Lock()
        options = {"linger_ms": 5, "allow_auto_create_topics": False, **kafka_options}
        options |= {"acks": "all", "enable_idempotence": True}
        try:
            self._producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), **options)
        except KafkaError as error:
            raise _failed(error) from None

    def publish(
        self, event: Mapping[str, Any], *, address: str | None = None, user_agent: str | None = None
    ) -> Receipt:
        """Queue one event and return its receipt without waiting for the broker.

        ``address`` and ``user_agent`` are the visitor's, as the connection shows them; the
        event's own ``ip`` and ``user_agent`` win. Retry with the receipt's ``event_id``.

        Raises InvalidEventError when the event breaks a rule, and PublishFailedError when it
        cannot be queued because the broker has been away for long (``max_block_ms``).
        """
        now = self._clock()
        whole = {"ip": address, **event} if isinstance(event, Mapping) else event
        if found := problems(whole, now):
            raise InvalidEventError(found)
        record = enter(
            whole,
            site=self._site,
            address=None,
            user_agent=user_agent,
            received_at=now,
            event_id=self._ids(),
            salt=self._salt() if self._salt and not self._raw else None,
        )
        if self._raw:
            record["ip"] = whole["ip"]
        try:
            future = self._producer.send(
                self._topic, encode("tracking_event", record), key=key(record)
            )
        except KafkaError as error:
            raise _failed(error) from None
        future.add_errback(self._count_failure)
        return Receipt(record["event_id"], future)

    def consent(
        self,
        cookie_id: str,
        purpose: str,
        decision: str,
        *,
        notice_id: str,
        notice_version: str,
        language: str | None = None,
        how: str = "api",
        occurred_at: int | str | None = None,
        change_id: str | None = None,
        timeout: float = 30.0,
    ) -> int:
        """Record what a visitor decided about one purpose; wait and return the epoch it begins.

        The visitor's events carry it as ``consent_epoch`` from then on. ``decision`` is given,
        refused, withdrawn or objected; the fields are those of ``privacy.consent_request``. A site
        that sees ``Sec-GPC: 1`` or ``DNT: 1`` records a refusal of ads with ``how`` gpc or dnt.
        What the broker has is in force, also where nobody wrote ``purpose`` into the policy: it is
        then a purpose nothing is done for.

        Raises InvalidEventError when a rule is broken, and PublishFailedError when the broker has
        not confirmed it within ``timeout`` seconds; record it again with the same ``change_id``.
        """
        change = {
            "change_id": change_id,
            "cookie_id": cookie_id,
            "purpose": purpose,
            "decision": decision,
            "notice_id": notice_id,
            "notice_version": notice_version,
            "language": language,
            "how": how,
            "occurred_at": occurred_at,
        }
        if found := consent_request.problems(change):
            raise InvalidEventError(found)
        record = consent_request.enter(
            change, site=self._site, received_at=self._clock(), change_id=self._ids()
        )
        try:
            stored = self._producer.send(
                self._consents, encode("consent_change", record), key=key(record)
            ).get(timeout=timeout)
        except KafkaError as error:
            raise _failed(error) from None
        if stored.offset < 0:  # stored by an earlier try, whose answer was lost
            raise PublishFailedError("the broker did not say where it is")
        return epoch_of(stored.offset)

    def flush(self, timeout: float = 30.0) -> None:
        """Wait for everything published so far, ``timeout`` seconds at most.

        Raises PublishFailedError when an event since the last flush was not stored, so that
        nothing is lost in silence even if no receipt was looked at.
        """
        try:
            self._producer.flush(timeout=timeout)
        except KafkaError as error:
            raise _failed(error) from None
        with self._lock:
            failures, self._failures = self._failures, 0
        if failures:
            raise PublishFailedError(f"{failures} events were not stored")

    def close(self, timeout: float = 30.0) -> None:
        """Flush and let go of the connections; raises what ``flush`` raises."""
        try:
            self.flush(timeout)
        finally:
            with suppress(KafkaError):  # waits for what flush has given up on
                self._producer.close(timeout=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(PublishFailedError):  # the exception on its way says more
                self.close(timeout=5)

    def _count_failure(self, _: BaseException) -> None:
        with self._lock:
            self._failures += 1


def _failed(error: KafkaError) -> PublishFailedError:
    """Keep the kind of error alone: its text may quote what was sent."""
    return PublishFailedError(f"the broker did not confirm it: {type(error).__name__}")
