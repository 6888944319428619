"""The SDK for holders outside: erase what a deletion names, and say so (S3, S20).

    with RetentionWorker("kafka.example:9092", "crm") as worker:
        worker.run(erase)

``erase`` is called with each ``Deletion`` that names this holder, and returns what became of it. It
may be called again for one that it has done: after a crash, or because its receipt was lost. Needs
the base install alone.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid5

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from privacy.certificate import Outcome
from schemas.codec import WireError, decode, encode

__all__ = ["Deletion", "Erase", "Outcome", "ReceiptFailedError", "RetentionWorker"]

DELETIONS = "deletions"
NAMESPACE = UUID("8f0a6c1e-2f57-4a55-8a19-6b7d3f0f5c41")
AT_ONCE = 100
MOST_OPEN = 10_000  # that failed; no more are taken until some of them are done
WAIT_SECONDS = 0.5
LONGEST_WAIT = 300.0

_log = logging.getLogger("lethe.retention")


@dataclass(frozen=True, slots=True)
class Deletion:
    """What is to be erased: all that the holder has of the case. Nothing here is personal.

    ``cause`` is the service event or right that asks for it, ``deadline`` when it is overdue.
    """

    deletion_id: str
    case_id: str
    service: str
    cause: str
    requested_at: datetime
    deadline: datetime


Erase = Callable[[Deletion], Outcome]
"""DONE or NOTHING_HELD. FAILED, or an exception: it is called again, later each time."""


class ReceiptFailedError(RuntimeError):
    """Raised when the broker did not confirm a receipt. Nothing is lost: it comes again."""


@dataclass(slots=True)
class _Open:
    """A deletion that is not done, and when it is tried again."""

    deletion: Deletion
    tries: int = 0
    not_before: float = 0.0


class RetentionWorker:
    """Gives one holder its deletions, at least once each, and sends the receipts. For one thread.

    Several may run for one ``holder``: they share its deletions. ``bootstrap`` is ``host:port``,
    several with commas; ``prefix`` is what the pipeline's settings put before each topic.
    ``kafka_options`` go to kafka-python's clients (``security_protocol``, ``sasl_mechanism``, ...).

    A deletion that fails is tried again after ``retry_seconds``, and later each time; it holds up
    no other. The first failure is reported. Raise KafkaError when no broker answers.
    """

    def __init__(
        self,
        bootstrap: str,
        holder: str,
        *,
        prefix: str = "",
        retry_seconds: float = 5.0,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        steady: Callable[[], float] = time.monotonic,
        **kafka_options: Any,
    ) -> None:
        self._holder = holder
        self._receipts = f"{prefix}deletion-receipts-{holder}"
        self._retry = retry_seconds
        self._now = now
        self._steady = steady
        self._open: dict[TopicPartition, dict[int, _Open]] = {}
        self._committed: dict[TopicPartition, int] = {}
        common = {"allow_auto_create_topics": False, **kafka_options}
        common["bootstrap_servers"] = bootstrap.split(",")
        self._producer = KafkaProducer(**common, acks="all", enable_idempotence=True)
        self._consumer = KafkaConsumer(
            **common,
            group_id=f"{prefix}retention-{holder}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self._consumer.subscribe([prefix + DELETIONS], listener=_Forgets(self._open))

    def run(self, erase: Erase, stop: threading.Event | None = None) -> None:
        """Work until ``stop`` is set, or until it is interrupted. Raise as ``turn``."""
        while stop is None or not stop.is_set():
            self.turn(erase)

    def turn(self, erase: Erase) -> int:
        """Take what has come, wait half a second for it at most, and return how many it did.

        Raise ReceiptFailedError when a receipt was not stored; the deletion then comes again.
        """
        self._take_no_more_than_can_be_kept()
        found: Mapping[TopicPartition, Sequence[Any]] = self._consumer.poll(
            timeout_ms=int(WAIT_SECONDS * 1000), max_records=AT_ONCE
        )
        for place, messages in found.items():
            ours = self._open.setdefault(place, {})
            for message in messages:
                if (deletion := self._read(message)) is not None:
                    ours[message.offset] = _Open(deletion)
        done = sum(self._try(ours, erase) for ours in list(self._open.values()))
        self._commit()
        return done

    def close(self) -> None:
        """Let go of the connections. What is not done comes again."""
        self._consumer.close(autocommit=False)
        self._producer.close(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close()

    def _take_no_more_than_can_be_kept(self) -> None:
        places = self._consumer.assignment()
        if sum(map(len, self._open.values())) >= MOST_OPEN:
            self._consumer.pause(*places)
        else:
            self._consumer.resume(*places)

    def _read(self, message: Any) -> Deletion | None:
        """Return a deletion that names this holder."""
        try:
            record = decode("deletion", message.value)
        except WireError as error:
            # Somebody is told; the receipt that is missing makes it overdue.
            _log.error(
                "deletion unreadable: partition %d, offset %d: %s",
                message.partition, message.offset, error.fault.value,
            )  # fmt: skip
            return None
        if self._holder not in record["holders"]:
            return None
        return Deletion(**{name: record[name] for name in Deletion.__slots__})

    def _try(self, ours: dict[int, _Open], erase: Erase) -> int:
        """Have the holder erase what is due, wait for the receipts; return how many are done."""
        done = []
        receipts = []
        for offset, each in sorted(ours.items()):
            if each.not_before > self._steady():
                continue
            outcome = self._ask(each, erase)
            if outcome is not Outcome.FAILED:
                done.append(offset)
            if outcome is not Outcome.FAILED or each.tries == 1:
                receipts.append(self._send(each.deletion, outcome))
        for receipt in receipts:
            try:
                receipt.get(timeout=30)
            except KafkaError as error:
                raise ReceiptFailedError(type(error).__name__) from None
        for offset in done:
            del ours[offset]
        return len(done)

    def _ask(self, each: _Open, erase: Erase) -> Outcome:
        try:
            outcome, why = Outcome(erase(each.deletion)), "it said so"
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            outcome, why = Outcome.FAILED, type(error).__name__  # its text may quote what is held
        if outcome is Outcome.FAILED:
            each.tries += 1
            wait = min(self._retry * 2 ** min(each.tries - 1, 10), LONGEST_WAIT)
            each.not_before = self._steady() + wait
            deletion_id = each.deletion.deletion_id
            _log.error("deletion %s failed: %s; again in %d s", deletion_id, why, wait)
        return outcome

    def _send(self, deletion: Deletion, outcome: Outcome) -> Any:
        told = f"{deletion.deletion_id}|{self._holder}|{outcome}"
        receipt = {
            "receipt_id": str(uuid5(NAMESPACE, told)),
            "deletion_id": deletion.deletion_id,
            "case_id": deletion.case_id,
            "holder": self._holder,
            "outcome": outcome.value,
            "at": self._now(),
        }
        try:
            return self._producer.send(
                self._receipts, encode("deletion_receipt", receipt), deletion.case_id.encode()
            )
        except KafkaError as error:
            raise ReceiptFailedError(type(error).__name__) from None

    def _commit(self) -> None:
        """Commit up to the first that is not done."""
        try:
            reached = {
                place: min([self._consumer.position(place), *self._open.get(place, ())])
                for place in self._consumer.assignment()
            }
            if reached != self._committed:
                self._consumer.commit(
                    {place: OffsetAndMetadata(each, "", -1) for place, each in reached.items()}
                )
                self._committed = reached
        except KafkaError as error:  # the partitions went to another, who does it again
            _log.warning("commit failed: %s", type(error).__name__)


class _Forgets(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python ships no types
    """Forgets what is open of partitions that go to another."""

    def __init__(self, found: dict[TopicPartition, dict[int, _Open]]) -> None:
        self._open = found

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        for place in revoked:
            self._open.pop(place, None)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Wait for what comes."""
