"""The end of a deletion: what was promised is looked at, and signed for."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from privacy.certificate import Check, Deleted, Receipt, canonical, certificate
from privacy.durations import HOUR_MS
from schemas.registry import CASES, topics
from sinks.ledger import deletion
from sinks.ledger.deletion import Progress
from sinks.ledger.ledger import Ledger
from sinks.signing import ALGORITHM, Signer
from streams import metrics

KEY_CACHE_SECONDS = 60  # for a department's reader to forget a key it was given before

# What a checkpoint of the ledger does, by database.
_SCRUBBED = {
    "sqlite": "deleted bytes overwritten, log truncated",
    "postgresql": "dead rows vacuumed; the log keeps wrapped keys until it is recycled",
}

_log = structlog.get_logger()


class Certifier:
    """Completes deletions that are announced and that no holder has to answer for any more."""

    def __init__(
        self,
        ledger: Ledger,
        signer: Signer,
        *,
        controller: str,
        policy: str,
        clock: Callable[[], int],
    ) -> None:
        """Sign in the name of ``controller``, under the ``policy`` of that version."""
        self._ledger = ledger
        self._signer = signer
        self._controller = controller
        self._policy = policy
        self._clock = clock

    def complete(self, connection: Connection, deletion_ids: Collection[str]) -> bool:
        """Complete those of ``deletion_ids`` that lack nothing; to be called after each answer.

        What is still there is not certified, whatever the steps say: its deletion begins again.
        False: there was something.
        """
        ready = deletion.answered(connection, deletion_ids)
        if not ready:
            return True
        case_ids = [each.deletion.case_id for each, _ in ready]
        with self._ledger.reading() as another:  # what everybody sees, not what we would keep
            left = deletion.traces(another, case_ids)
        if left:
            _log.error("deletions_begun_again", count=len(left))
            deletion.again(connection, left)
        at = self._clock()
        certificates = {
            each.deletion.deletion_id: self._certificate(each, said, at, connection.dialect.name)
            for each, said in ready
            if each.deletion.case_id not in left
        }
        deletion.complete(connection, certificates, at)
        metrics.DELETIONS_COMPLETED.inc(len(certificates))
        return not left

    def _certificate(
        self, progress: Progress, said: Sequence[Receipt], at: int, database: str
    ) -> Mapping[str, Any]:
        content = certificate(
            _deleted(progress),
            said,
            list(_checks(progress, at, database)),
            controller=self._controller,
            policy=self._policy,
            completed_at=at,
        )
        return signed(content, self._signer)


def signed(
    content: Mapping[str, Any], signer: Signer, what: str = "certificate"
) -> Mapping[str, Any]:
    """Return a certificate, or ``what`` else it is, with the signature of its canonical JSON."""
    return {
        what: content,
        "algorithm": ALGORITHM,
        "signature": signer.sign(canonical(content)),
    }


def _deleted(progress: Progress) -> Deleted:
    asked = progress.deletion
    return Deleted(
        deletion_id=asked.deletion_id,
        case_id=asked.case_id,
        service=asked.service,
        holders=asked.holders,
        cause=asked.cause,
        cause_id=asked.cause_id,
        requested_at=asked.requested_at,
        deadline=asked.deadline,
        steps={
            "shredded": progress.shredded_at,
            "unreadable": progress.unreadable_at,
            "announced": progress.announced_at,
        },
    )


def _checks(progress: Progress, at: int, database: str) -> Iterator[Check]:
    """Yield what was looked at, and what is known of what cannot be."""
    gone = "no row, read back on a connection of its own"
    yield Check("keys in the ledger", gone, at, passed=True)
    yield Check("case in the ledger", gone, at, passed=True)
    unreadable, announced = progress.unreadable_at, progress.announced_at
    if unreadable is not None:
        yield Check("the ledger's files", _SCRUBBED[database], unreadable, passed=True)
        cached = f"forgotten {KEY_CACHE_SECONDS} s after they were given, at most"
        forgotten = unreadable + KEY_CACHE_SECONDS * 1000
        yield Check("keys with departments", cached, forgotten, passed=True)
    if announced is not None:
        tombstoned = f"tombstone acknowledged; sealed copies compacted within {TOMBSTONED} h"
        for department in progress.deletion.departments:
            yield Check(f"cases-{department}", tombstoned, announced, passed=True)
    sealed = f"sealed, without a key; deleted within {SUBMITTED} h"
    yield Check("form-submissions", sealed, at, passed=True)
    yield Check("ClickHouse", "never held cases: no topic of theirs is loaded", at, passed=True)


def gone_hours(topic: str) -> int:
    """Return within how many hours the broker's files lose what a topic lets go of.

    For a compacted one since the tombstone, for others since the message.
    """
    config = topics()[topic].config
    compacted = config["cleanup.policy"] == "compact"
    kept = config["max.compaction.lag.ms" if compacted else "retention.ms"]
    return -(-(int(kept) + int(config["segment.ms"])) // HOUR_MS)


TOMBSTONED, SUBMITTED = gone_hours(CASES), gone_hours("form-submissions")
