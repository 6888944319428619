"""Deletions that should be done and are not: an alert a day and holder, and a gauge."""

import threading
from collections.abc import Callable, Iterator, Sequence

import structlog
from prometheus_client import Gauge

from sinks.kafka import BatchProducer
from sinks.ledger import deletion
from sinks.ledger.deletion import Late
from sinks.ledger.ledger import Ledger
from streams import metrics
from streams.alerts import Alert, Alerts
from streams.turns import take_turns

EVERY_SECONDS = 60.0
OURS_MS = 60_000  # from the service event until the pipeline's own part is done

_log = structlog.get_logger()


class WaitedFor:
    """Shows on a gauge how much each holder is waited for: 0 again when it has answered."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._seen: set[str] = set()

    def show(self, late: Sequence[Late]) -> None:
        """Set the gauge."""
        counts = {each.holder or "": each.count for each in late}
        for holder in self._seen | counts.keys():
            self._gauge.labels(holder).set(counts.get(holder, 0))
        self._seen |= counts.keys()


class Overdue:
    """Looks once a minute until told to stop. One thread."""

    def __init__(
        self, topic: str, ledger: Ledger, producer: BatchProducer, clock: Callable[[], int]
    ) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._alerts = Alerts(topic, producer)
        self._ledger = ledger
        self._clock = clock
        self._waited_for = WaitedFor(metrics.DELETIONS_OVERDUE)

    def run(self, stop: threading.Event) -> None:
        """Look until ``stop``; while the ledger is away, wait for it."""
        take_turns(self.look, stop, EVERY_SECONDS)

    def look(self) -> None:
        """Set the gauge, and raise the alerts that were not raised yet."""
        at = self._clock()
        with self._ledger.reading() as connection:
            late = deletion.late(connection, at, OURS_MS)
        self._waited_for.show(late)
        if self._alerts.tell(list(alerts(late)), at):
            _log.error("deletions_overdue", count=sum(each.count for each in late))


def alerts(late: Sequence[Late]) -> Iterator[Alert]:
    """Yield an alert for each that is waited for."""
    for each in late:
        if each.holder is None:
            remedy = "see that the worker's parts delete and cases run, and the broker answers"
            yield Alert("deletion_stuck", "the worker", each.count, remedy)
        else:
            remedy = "lethe deletions --overdue shows them; see that the holder's worker runs"
            yield Alert("deletion_overdue", each.holder, each.count, remedy)
