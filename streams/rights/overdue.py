"""Requests that should be answered and are not: an alert a day, and a gauge (Art. 12(3), S24)."""

from collections.abc import Callable

import structlog

from sinks.ledger import requests
from sinks.ledger.ledger import Ledger
from streams import metrics
from streams.alerts import Alert, Alerts

REMEDY = "lethe requests --overdue shows them; do what they wait for, and answer"

_log = structlog.get_logger()


class OverdueRequests:
    """Looks whenever it is asked to. One thread."""

    def __init__(self, ledger: Ledger, alerts: Alerts, clock: Callable[[], int]) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._ledger = ledger
        self._alerts = alerts
        self._clock = clock

    def look(self) -> None:
        """Set the gauge, and raise the alert if it was not raised today."""
        at = self._clock()
        with self._ledger.reading() as connection:
            count = len(requests.late(connection, at))
        metrics.REQUESTS_OVERDUE.set(count)
        late = [Alert("request_overdue", "rights", count, REMEDY)] if count else []
        if self._alerts.tell(late, at):
            _log.error("requests_overdue", count=count)
