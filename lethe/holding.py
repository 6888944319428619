"""What the SDK's workers for holders outside share: each task at least once, and its receipt.

A task is a deletion, a correction, a hold or an export. One that fails is tried again, and later
each time; only tasks of the same case wait for it, so that a case's are done in the order they were
asked. Its offset is committed when all before it are done.
"""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID, uuid5

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from privacy.certificate import Outcome
from schemas.codec import WireError, decode, encode

NAMESPACE = UUID("8f0a6c1e-2f57-4a55-8a19-6b7d3f0f5c41")
AT_ONCE = 100
MOST_OPEN = 10_000  # that failed; no more are taken until some of them are done
WAIT_SECONDS = 0.5
# kafka-python begins anew to join its group when a poll ends before the broker has answered. One
# that polls too shortly on a busy machine never gets a partition.
JOIN_SECONDS = 2.0
LONGEST_WAIT = 300.0

Task = TypeVar("Task")
Handle = TypeVar("Handle")

_log = logging.getLogger("lethe.holding")


class ReceiptFailedError(RuntimeError):
    """Raised when the broker did not confirm a receipt. Nothing is lost: it comes again."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a holder says of a task; of an export with ``content``, which is sealed."""

    outcome: Outcome
    content: bytes | None = None


@dataclass(slots=True)
class _Open(Generic[Task]):
    """A task that is not done, and when it is tried again; its receipt names ``told_id``."""

    told_id: str
    case_id: str
    task: Task
    tries: int = 0
    not_before: float = 0.0


_Tasks = dict[int, _Open[Task]]  # of one partition, by offset


class HolderWorker(ABC, Generic[Task, Handle]):
    """Gives one holder its tasks, at least once each, and sends the receipts. For one thread.

    Several may run for one ``holder``: they share its tasks. ``bootstrap`` is ``host:port``,
    several with commas; ``prefix`` is what the pipeline's settings put before each topic.
    ``kafka_options`` go to kafka-python's clients (``security_protocol``, ``sasl_mechanism``, ...).

    A task that fails is tried again after ``retry_seconds``, and later each time. The first failure
    is reported. Raise KafkaError when no broker answers.
    """

    records: ClassVar[Mapping[str, str]]
    """Topics, and the record on each."""

    group: ClassVar[str]
    """With the holder's name in the place of ``{}``."""

    task_id: ClassVar[str]
    """The field with the id that receipts name."""

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
        self._record_of = {prefix + topic: record for topic, record in self.records.items()}
        self._open: dict[TopicPartition, _Tasks[Task]] = {}
        self._committed: dict[TopicPartition, int] = {}
        common = {"allow_auto_create_topics": False, **kafka_options}
        common["bootstrap_servers"] = bootstrap.split(",")
        self._producer = KafkaProducer(**common, acks="all", enable_idempotence=True)
        self._consumer = KafkaConsumer(
            **common,
            group_id=prefix + self.group.format(holder),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self._consumer.subscribe(list(self._record_of), listener=_Forgets(self._open))

    @abstractmethod
    def _task(self, name: str, record: Mapping[str, Any]) -> Task:
        """Return what a record of that name, which names this holder, asks."""

    @abstractmethod
    def _do(self, handle: Handle, task: Task) -> Said | None:
        """Have the holder do a task; None: nobody can any more, and no receipt is due."""

    def _prepare(self, tasks: Sequence[Task]) -> None:
        """Get at once what is needed for tasks that are due."""

    def run(self, handle: Handle, stop: threading.Event | None = None) -> None:
        """Work until ``stop`` is set, or until it is interrupted. Raise as ``turn``."""
        while stop is None or not stop.is_set():
            self.turn(handle)

    def turn(self, handle: Handle) -> int:
        """Take what has come, wait half a second for it at most, and return how many it did.

        It waits two seconds while it has no partition.

        Raise ReceiptFailedError when a receipt was not stored; the task then comes again.
        """
        self._take_no_more_than_can_be_kept()
        wait = WAIT_SECONDS if self._consumer.assignment() else JOIN_SECONDS
        found: Mapping[TopicPartition, Sequence[Any]] = self._consumer.poll(
            timeout_ms=int(wait * 1000), max_records=AT_ONCE
        )
        for place, messages in found.items():
            ours = self._open.setdefault(place, {})
            for message in messages:
                if (new := self._read(self._record_of[place.topic], message)) is not None:
                    ours[message.offset] = new
        due = [_due(ours, self._steady()) for ours in list(self._open.values())]
        if any(due):
            self._prepare([each.task for ours in due for each in ours.values()])
        done = sum(map(self._try, list(self._open.values()), due, [handle] * len(due)))
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

    def _read(self, name: str, message: Any) -> _Open[Task] | None:
        """Return a task that names this holder."""
        try:
            record = decode(name, message.value)
        except WireError as error:
            # Somebody is told; the receipt that is missing makes it overdue.
            _log.error(
                "%s unreadable: partition %d, offset %d: %s",
                name, message.partition, message.offset, error.fault.value,
            )  # fmt: skip
            return None
        if self._holder not in record["holders"]:
            return None
        return _Open(record[self.task_id], record["case_id"], self._task(name, record))

    def _try(self, ours: _Tasks[Task], due: _Tasks[Task], handle: Handle) -> int:
        """Have the holder do what is due, wait for the receipts; return how many are done."""
        done = []
        receipts = []
        behind: set[str] = set()  # cases of which something failed just now
        for offset, each in sorted(due.items()):
            if each.case_id in behind:
                continue
            said = self._ask(each, handle)
            failed = said is not None and said.outcome is Outcome.FAILED
            if failed:
                behind.add(each.case_id)
            else:
                done.append(offset)
            if said is not None and (not failed or each.tries == 1):
                receipts.append(self._send(each, said))
        for receipt in receipts:
            try:
                receipt.get(timeout=30)
            except KafkaError as error:
                raise ReceiptFailedError(type(error).__name__) from None
        for offset in done:
            del ours[offset]
        return len(done)

    def _ask(self, each: _Open[Task], handle: Handle) -> Said | None:
        try:
            said, why = self._do(handle, each.task), "it said so"
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            said, why = (
                Said(Outcome.FAILED),
                type(error).__name__,
            )  # its text may quote what is held
        if said is not None and said.outcome is Outcome.FAILED:
            each.tries += 1
            wait = min(self._retry * 2 ** min(each.tries - 1, 10), LONGEST_WAIT)
            each.not_before = self._steady() + wait
            _log.error("%s %s failed: %s; again in %d s", self.task_id, each.told_id, why, wait)
        return said

    def _send(self, each: _Open[Task], said: Said) -> Any:
        told = f"{each.told_id}|{self._holder}|{said.outcome}"
        receipt: dict[str, Any] = {
            "receipt_id": str(uuid5(NAMESPACE, told)),
            "deletion_id": each.told_id,
            "case_id": each.case_id,
            "holder": self._holder,
            "outcome": said.outcome.value,
            "at": self._now(),
        }
        if said.content is not None:
            receipt["content"] = said.content
        try:
            return self._producer.send(
                self._receipts, encode("deletion_receipt", receipt), each.case_id.encode()
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


def _due(ours: _Tasks[Task], at: float) -> _Tasks[Task]:
    """Return the tasks to be tried now: those that do not wait, nor stand behind one that does."""
    found: _Tasks[Task] = {}
    waiting: set[str] = set()
    for offset, each in sorted(ours.items()):
        if each.not_before > at:
            waiting.add(each.case_id)
        elif each.case_id not in waiting:
            found[offset] = each
    return found


class _Forgets(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python ships no types
    """Forgets what is open of partitions that go to another."""

    def __init__(self, found: dict[TopicPartition, Any]) -> None:
        self._open = found

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        for place in revoked:
            self._open.pop(place, None)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Wait for what comes."""
