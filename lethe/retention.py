"""The SDK for holders outside: erase what a deletion names, and say so (S3, S20).

    with RetentionWorker("kafka.example:9092", "crm") as worker:
        worker.run(erase)

``erase`` is called with each ``Deletion`` that names this holder, and returns what became of it. It
may be called again for one that it has done: after a crash, or because its receipt was lost. Needs
the base install alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from lethe.holding import HolderWorker, ReceiptFailedError, Said
from privacy.certificate import Outcome

__all__ = ["Deletion", "Erase", "Outcome", "ReceiptFailedError", "RetentionWorker"]


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
"""DONE or NOTHING_HELD. FAILED, or an exception: it is called again, later each time.

A case under a hold (``lethe.rights``) must not be erased: FAILED until the hold is lifted.
"""


class RetentionWorker(HolderWorker[Deletion, Erase]):
    """Gives one holder its deletions, at least once each, and sends the receipts. For one thread.

    What its arguments mean, and what is done about failures, ``HolderWorker`` says.
    """

    records: ClassVar[Mapping[str, str]] = {"deletions": "deletion"}
    group = "retention-{}"
    task_id = "deletion_id"

    def _task(self, _: str, record: Mapping[str, Any]) -> Deletion:
        return Deletion(**{each: record[each] for each in Deletion.__slots__})

    def _do(self, handle: Erase, task: Deletion) -> Said:
        return Said(Outcome(handle(task)))
