"""The loop of the worker's threads that work on the ledger."""

import threading
from collections.abc import Callable

import structlog

from sinks.ledger.ledger import LedgerError
from streams import metrics

RETRY_SECONDS = 1.0

_log = structlog.get_logger()


def take_turns(
    turn: Callable[[], bool | None], stop: threading.Event, idle_seconds: float = 0.0
) -> None:
    """Take turns until ``stop``; while the ledger is away, wait for it and take the turn again.

    After one that does not return True there was nothing more to do: pause for ``idle_seconds``.
    Whatever else a turn raises ends the loop.
    """
    while not stop.is_set():
        try:
            busy = turn()
        except LedgerError as error:
            metrics.LEDGER_AWAY.inc()
            _log.warning("ledger_down", reason=str(error))
            stop.wait(RETRY_SECONDS)
        else:
            if not busy:
                stop.wait(idle_seconds)
