"""The end of requests: nobody confirmed them, nobody fetched the answer, or all is said (S24).

refuse   what was not confirmed in time: who asked has not shown who they are (Art. 12(6))
expire   answers that were not fetched
shred    keys and contents of what was answered some days ago, once letters had time to be read, and
         of what holders were asked for it
forget   who asked, when it is not counted any more
"""

from collections.abc import Callable

import structlog

from privacy.durations import HOUR_MS
from privacy.policy import Policy
from privacy.rights.plan import RefusalReason, refuse
from sinks.ledger import answers, demands, requests
from sinks.ledger.ledger import Ledger
from sinks.ledger.requests import State
from streams import metrics
from streams.deletion.certify import gone_hours
from streams.rights.lane import MONTH_MS
from streams.rights.plans import keep

AT_ONCE = 500
# For as long as a holder that is late can read what was asked: then its key is of no use.
DEMANDED_MS = gone_hours("corrections") * HOUR_MS
TAKING_MS = 5_000  # for the transaction that takes an answer, and between two machines' clocks

_log = structlog.get_logger()


class Closing:
    """Looks whenever it is asked to. One thread; several may work on one ledger."""

    def __init__(self, policy: Policy, ledger: Ledger, clock: Callable[[], int]) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        if policy.rights is None:
            raise ValueError("the policy has no rights")
        self._policy = policy
        self._letter_ms = policy.rights.letter_hours * HOUR_MS
        self._ledger = ledger
        self._clock = clock
        # What was deleted is gone when the log is emptied; an earlier life may have died before.
        self._scrub = True
        self._scrubbed_at = 0

    def look(self) -> bool:
        """Take up to AT_ONCE requests each way, and tell whether there may be more."""
        at = self._clock()
        with self._ledger.reading() as connection:  # most of the time there is nothing
            unconfirmed = requests.unconfirmed(connection, at, AT_ONCE)
            over = requests.to_shred(connection, at - self._letter_ms, AT_ONCE)
            demanded = demands.to_shred(connection, at - self._letter_ms, at - DEMANDED_MS, AT_ONCE)
            taken = answers.taken_since(connection, self._scrubbed_at - TAKING_MS)
        with self._ledger.transaction() as connection:
            for each in requests.lock(connection, unconfirmed).values():
                if each.state is State.UNCONFIRMED:
                    plan = refuse(RefusalReason.IDENTITY_NOT_SHOWN)
                    keep(connection, each, plan, at, self._policy)
            demands.shred(connection, demanded, at)
            expired = answers.expire(connection, at)
            requests.close(connection, over, at)
            requests.forget_subjects(connection, at - MONTH_MS)
        if self._scrub or taken or expired or over or demanded:
            self._scrub = not self._ledger.checkpoint()
            if self._scrub:
                metrics.CHECKPOINT_BLOCKED.inc()
                _log.warning("checkpoint_blocked")
            else:
                self._scrubbed_at = at
        return AT_ONCE in {len(unconfirmed), len(over), len(demanded)}
