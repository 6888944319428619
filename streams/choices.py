"""What visitors chose, as the lanes ask it: by the purposes of the policy."""

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import structlog

from privacy.consent import RESERVED, Mode
from privacy.outcome import Reason
from privacy.policy import Covers, Policy
from privacy.standings import REFUSALS
from sinks.consent_barrier import Consents, ConsentUnknownError
from streams import metrics

RETRY_SECONDS = 1.0

_log = structlog.get_logger()


class PolicyChoices:
    """Implements ``streams.lanes.rules.Choices``."""

    def __init__(self, policy: Policy, consents: Consents) -> None:
        self._consents = consents
        self._analytics = policy.covering(Covers.ANALYTICS)
        self._location = policy.covering(Covers.LOCATION)

    def objected(self, visitors: Sequence[bytes | None]) -> np.ndarray:
        """Tell whose events are left out: who said no, or not yes where only a yes counts."""
        left_out = np.zeros(len(visitors), bool)
        for name, purpose in self._analytics.items():
            if purpose.mode == Mode.OPT_OUT:
                left_out |= self._consents.denied(visitors, name)
            else:
                left_out |= ~self._consents.given(visitors, name)
        return left_out

    def withheld(self, visitors: Sequence[bytes | None]) -> Mapping[Reason, np.ndarray]:
        """Tell by reason whose events a right keeps from every use (S20, S21)."""
        codes = self._consents.withheld(visitors)
        if not codes.any():
            return {}
        return {reason: codes == REFUSALS.index(reason) for reason in RESERVED.values()}

    def may_be_located(self, visitors: Sequence[bytes | None]) -> np.ndarray:
        """Tell whose coordinates may be used: by every purpose that covers location."""
        agreed = np.ones(len(visitors), bool)
        for name, purpose in self._location.items():
            if purpose.mode == Mode.OPT_OUT:
                agreed &= ~self._consents.denied(visitors, name)
            else:
                agreed &= self._consents.given(visitors, name)
        return agreed


def know(consents: Consents, stop: threading.Event) -> bool:
    """Wait until all consents acknowledged by now are known; False when ``stop`` came first."""
    while not stop.is_set():
        try:
            consents.barrier()
        except ConsentUnknownError as error:
            metrics.CONSENTS_UNKNOWN.inc()
            _log.warning("consent_unknown", reason=str(error))
            stop.wait(RETRY_SECONDS)
        else:
            return True
    return False
