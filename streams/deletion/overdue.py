"""Deletions that should be done and are not: an alert a day and holder, and a gauge."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import structlog

from schemas.codec import encode
from sinks.kafka import BatchProducer
from sinks.ledger import deletion
from sinks.ledger.deletion import Late
from sinks.ledger.ledger import Ledger
from streams import metrics
from streams.turns import take_turns

ALERTS = "pipeline-alerts"
NAMESPACE = UUID("c1d5b0a7-3e0a-4f1c-9d9e-5a4b6f0c2d18")
EVERY_SECONDS = 60.0
OURS_MS = 60_000  # from the service event until the pipeline's own part is done

_log = structlog.get_logger()


class Overdue:
    """Looks once a minute until told to stop. One thread."""

    def __init__(
        self, topic: str, ledger: Ledger, producer: BatchProducer, clock: Callable[[], int]
    ) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._topic = topic
        self._ledger = ledger
        self._producer = producer
        self._clock = clock
        self._raised: set[str] = set()
        self._seen: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Look until ``stop``; while the ledger is away, wait for it."""
        take_turns(self.look, stop, EVERY_SECONDS)

    def look(self) -> None:
        """Set the gauge, and raise the alerts that were not raised yet."""
        at = self._clock()
        with self._ledger.reading() as connection:
            late = deletion.late(connection, at, OURS_MS)
        counts = {each.holder or "": each.count for each in late}
        for holder in self._seen | counts.keys():
            metrics.DELETIONS_OVERDUE.labels(holder).set(counts.get(holder, 0))
        self._seen |= counts.keys()
        new = [each for each in alerts(late, at) if each["id"] not in self._raised]
        if new:
            keys = [f"{each['kind']}|{each['subject']}".encode() for each in new]
            values = [encode("pipeline_alert", each) for each in new]
            self._producer.send(self._topic, values, keys)
            self._producer.stored()
            _log.error("deletions_overdue", count=sum(counts.values()))
        self._raised |= {each["id"] for each in new}


def alerts(late: Sequence[Late], at: int) -> list[dict[str, Any]]:
    """Return an alert for each that is waited for, the same all day (UTC)."""
    day = datetime.fromtimestamp(at / 1000, UTC).date()
    found = []
    for each in late:
        kind = "deletion_stuck" if each.holder is None else "deletion_overdue"
        subject = each.holder or "the worker"
        remedy = (
            "see that the worker's parts delete and cases run, and the broker answers"
            if each.holder is None
            else "lethe deletions --overdue shows them; see that the holder's worker runs"
        )
        found.append(
            {
                "id": str(uuid5(NAMESPACE, f"{kind}|{subject}|{day}")),
                "at": at,
                "kind": kind,
                "subject": subject,
                "count": each.count,
                "remedy": remedy,
            }
        )
    return found
