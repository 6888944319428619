"""Give keys out to who may have them, and write down to whom."""

from collections.abc import Mapping, Sequence

import structlog

from privacy.policy import Policy
from sinks.keys.vault import Vault
from sinks.ledger import keys
from sinks.ledger.keys import GIVEN, REFUSED, Kind, Owner, Use
from sinks.ledger.ledger import UNUSABLE, Ledger
from streams.keys import tokens
from streams.metrics import KEYS_ASKED

KEPT_MS = 396 * 86_400_000
"""For how long it is known who asked for a key: 13 months, a year's audit and what it takes."""

_log = structlog.get_logger()


class Desk:
    """The policy's departments get the keys of their services' cases.

    The department that answers requests gets those of requests, a holder outside those of what it
    is asked to do.
    """

    def __init__(self, ledger: Ledger, vault: Vault, policy: Policy) -> None:
        self._ledger = ledger
        self._vault = vault
        self._policy = policy

    def give(self, department: str, case_ids: Sequence[str], at: int) -> Mapping[str, bytes | None]:
        """Return the keys of cases; None: there is none, no longer, or not for this department.

        It must have been the case's when that came in, the policy must still say so, and the case
        must be under no restriction (S21). What is returned is written down, and so is what was
        refused. Raise LedgerError and KeyStoreError.
        """
        with self._ledger.transaction() as connection:
            owners = keys.owners_of(connection, case_ids)
            found = self._vault.open(connection, case_ids, department)
            given = {
                case_id: key
                for case_id, key in found.items()
                if case_id in owners and self._may_read(department, owners[case_id])
            }
            uses = [
                Use(case_id, department, at, GIVEN if case_id in given else REFUSED)
                for case_id in owners
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

    def _may_read(self, department: str, owner: Owner) -> bool:
        if owner.kind == Kind.REQUEST:
            rights = self._policy.rights
            return rights is not None and department == rights.department
        if owner.kind == Kind.DEMAND:
            return department in map(tokens.of_holder, owner.holders)
        known = self._policy.services.get(owner.service or "")
        return not owner.held and known is not None and department in known.departments
