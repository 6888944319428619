"""Give keys out to who may have them, and write down to whom."""

from collections.abc import Mapping, Sequence

import structlog

from privacy.policy import Policy
from sinks.keys.vault import Vault
from sinks.ledger import keys
from sinks.ledger.keys import GIVEN, REFUSED, Use
from sinks.ledger.ledger import UNUSABLE, Ledger
from streams.metrics import KEYS_ASKED

KEPT_MS = 396 * 86_400_000
"""For how long it is known who asked for a key: 13 months, a year's audit and what it takes."""

_log = structlog.get_logger()


class Desk:
    """The policy's departments get the keys of their services' cases."""

    def __init__(self, ledger: Ledger, vault: Vault, policy: Policy) -> None:
        self._ledger = ledger
        self._vault = vault
        self._policy = policy

    def give(self, department: str, case_ids: Sequence[str], at: int) -> Mapping[str, bytes | None]:
        """Return the keys of cases; None: there is none, no longer, or not for this department.

        It must have been the case's when that came in, and the policy must still say so. What is
        returned is written down, and so is what was refused. Raise LedgerError and KeyStoreError.
        """
        with self._ledger.transaction() as connection:
            services = keys.services_of(connection, case_ids)
            found = self._vault.open(connection, case_ids, department)
            given = {
                case_id: key
                for case_id, key in found.items()
                if case_id in services and self._may_read(department, services[case_id])
            }
            uses = [
                Use(case_id, department, at, GIVEN if case_id in given else REFUSED)
                for case_id in services
            ]
            keys.record_uses(connection, uses)
        KEYS_ASKED.labels(department, GIVEN).inc(len(given))
        KEYS_ASKED.labels(department, REFUSED).inc(len(uses) - len(given))
        return {case_id: given.get(case_id) for case_id in case_ids}

    def forget(self, now: int) -> None:
        """Forget uses of KEPT_MS ago. ``now`` in milliseconds since 1970."""
        try:
            with self._ledger.transaction() as connection:
                keys.forget_uses(connection, now - KEPT_MS)
        except UNUSABLE as error:
            _log.warning("uses_remain", reason=str(error))

    def ready(self) -> bool:
        """Tell whether the ledger answers."""
        try:
            with self._ledger.reading() as connection:
                keys.uses_of(connection, "")
        except UNUSABLE:
            return False
        return True

    def _may_read(self, department: str, service: str) -> bool:
        known = self._policy.services.get(service)
        return known is not None and department in known.departments
