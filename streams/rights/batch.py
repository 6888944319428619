"""Requests that one transaction of the engine takes on, and what has come of them so far."""

from collections import Counter
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from privacy.rights.plan import Act, Command
from privacy.rights.request import Asked
from sinks.ledger import requests
from sinks.ledger.outbox import Message
from sinks.ledger.requests import Request, Step
from streams import metrics
from streams.alerts import Alert
from streams.rights.doing import Doing

REMEDY = "lethe requests shows who waits; the log has request_step_failed with the kind of error"

_log = structlog.get_logger()


@dataclass(slots=True)
class Batch:
    """``requests`` are locked on ``connection``, and go on; what is left for later is not there.

    ``away`` are steps to be done when the transaction is over.
    """

    connection: Connection
    at: int
    requests: dict[str, Request]
    opened: dict[str, tuple[Asked, bytes]] = field(default_factory=dict, repr=False)
    messages: list[Message] = field(default_factory=list, repr=False)
    away: list[Doing] = field(default_factory=list, repr=False)
    _failed: Counter[str] = field(default_factory=Counter)

    def leave(self, request_id: str, due_at: int) -> None:
        """Go on with a request at ``due_at``, milliseconds since 1970."""
        requests.later(self.connection, request_id, due_at)
        del self.requests[request_id]

    def failed(self, request_id: str, step: str, error: Exception, again_ms: int) -> None:
        """Go on with a request later, and have an operator told that it waits."""
        self.count(step, error)
        self.leave(request_id, self.at + again_ms)

    def count(self, step: str, error: Exception) -> None:
        """Count a step that failed. An error's own words may hold values: its kind must do."""
        _log.error("request_step_failed", step=step, kind=type(error).__name__)
        metrics.REQUEST_STEPS_FAILED.labels(step).inc()
        self._failed[step] += 1

    def renew(self) -> None:
        """Read the requests again: they were planned."""
        self.requests = requests.lock(self.connection, list(self.requests))

    def doing(self, request_id: str, step: Step) -> Doing:
        """Return a step as a handler is given it."""
        asked, key = self.opened[request_id]
        command = Command(Act(step.act), step.target)
        return Doing(self.requests[request_id], asked, key, command, step.number, self.at)

    def alerts(self) -> list[Alert]:
        """Return an alert for each kind of step that failed."""
        return [
            Alert("request_stuck", f"rights: {step}", count, REMEDY)
            for step, count in sorted(self._failed.items())
        ]
