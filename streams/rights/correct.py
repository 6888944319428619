"""The step that puts a case right, and tells its departments (S19; Art. 16 and 19 GDPR)."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from privacy.lifecycle import CaseState
from privacy.policy import RIGHTS, Policy
from privacy.rights.correction import Corrected, corrected
from privacy.rights.plan import Act
from privacy.subjects import subject_id
from sinks.keys.seal import seal, unseal
from sinks.keys.vault import Vault
from sinks.ledger import cases
from sinks.ledger.cases import Case
from streams.cases.records import text_of
from streams.cases.transitions import Transitions
from streams.rights.doing import Doing, Done, Handlers, Outsides


class CorrectionActs:
    """Opens cases with the key of the rights engine, which no department has."""

    def __init__(
        self, policy: Policy, vault: Vault, transitions: Transitions, subject_key: bytes
    ) -> None:
        """Take ``subject_key`` to tell whose a case is by its address."""
        self._policy = policy
        self._vault = vault
        self._transitions = transitions
        self._subject_key = subject_key

    def handlers(self) -> Handlers:
        """Return who does which act."""
        return {Act.CORRECT_CASE: self.correct}

    def outside(self) -> Outsides:
        """Return nothing: all of it is in the ledger."""
        return {}

    def correct(self, connection: Connection, doing: Doing) -> Done:
        """Put a case, the target, right. Its departments read it anew, unless it is held.

        The outcome names fields, never a value. Raise NotSealedError for a case that its key did
        not seal, KeyError for one without a key.
        """
        case = cases.locked(connection, [doing.command.target]).get(doing.command.target)
        if case is None or case.state is CaseState.ENDED:
            return Done("was over already")
        service = self._policy.services[case.service]
        new = corrected(service, case.sealed, doing.asked)
        if not new.values:
            return Done(_outcome(new, {}))
        key = self._vault.open(connection, [case.case_id], RIGHTS)[case.case_id]
        opened = _opened(case, key)
        changed = {name: each for name, each in new.values.items() if opened.get(name) != each}
        if not changed:
            return Done(_outcome(new, changed))
        now = self._with(case, key, changed, doing.at)
        cases.correct(connection, [now])
        cases.move(connection, [now])
        # Who holds it is told of it again when it is let go.
        messages = [] if now.held is not None else self._transitions.told(now)
        return Done(_outcome(new, changed), messages)

    def _with(self, case: Case, key: bytes, changed: Mapping[str, str], at: int) -> Case:
        """Return a case with new values; another address makes it another person's.

        Under a restriction the time of its last change stays: by that it is known, when it is let
        go, who was told of it (``streams.rights.holds``).
        """
        sealed = text_of(seal(key, changed, site=case.site, case_id=case.case_id))
        email = changed.get(self._policy.services[case.service].email or "")
        return replace(
            case,
            sealed={**case.sealed, **sealed},
            subject=case.subject if email is None else subject_id(self._subject_key, email),
            changed_at=at if case.held is None else case.changed_at,
        )


def _outcome(new: Corrected, changed: Mapping[str, str]) -> str:
    """Return which fields were put right, or are refused by the form, by name."""
    words = [f"corrected: {', '.join(sorted(changed))}" if changed else "nothing to correct"]
    if new.refused:
        words.append(f"not as the form has it: {', '.join(new.refused)}")
    return "; ".join(words)


def _opened(case: Case, key: bytes) -> Mapping[str, str]:
    sealed = {name: b64decode(each) for name, each in case.sealed.items()}
    return unseal(key, sealed, site=case.site, case_id=case.case_id, version=case.key_version)
