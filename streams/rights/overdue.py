"""Requests that should be answered, and holders that should have: alerts a day, and gauges.

By Art. 12(3) and 19 GDPR (S24).
"""

from collections.abc import Callable, Sequence

import structlog

from sinks.ledger import demands, requests
from sinks.ledger.deletion import Late
from sinks.ledger.ledger import Ledger
from streams import metrics
from streams.alerts import Alert, Alerts
from streams.deletion.overdue import WaitedFor

REMEDY = "lethe requests --overdue shows them; do what they wait for, and answer"
OF_HOLDERS = "lethe requests holders shows them; see that the holder's RightsWorker runs"

_log = structlog.get_logger()


class OverdueRequests:
    """Looks whenever it is asked to. One thread."""

    def __init__(self, ledger: Ledger, alerts: Alerts, clock: Callable[[], int]) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._ledger = ledger
        self._alerts = alerts
        self._clock = clock
        self._waited_for = WaitedFor(metrics.DEMANDS_OVERDUE)

    def look(self) -> None:
        """Set the gauges, and raise the alerts that were not raised today."""
        at = self._clock()
        with self._ledger.reading() as connection:
            count = len(requests.late(connection, at))
            holders = demands.late(connection, at)
        metrics.REQUESTS_OVERDUE.set(count)
        self._waited_for.show(holders)
        late = [Alert("request_overdue", "rights", count, REMEDY)] if count else []
        if self._alerts.tell([*late, *_alerts(holders)], at):
            _log.error("requests_overdue", count=count, holders=len(holders))


def _alerts(late: Sequence[Late]) -> list[Alert]:
    return [Alert("demand_overdue", each.holder or "", each.count, OF_HOLDERS) for each in late]
