"""Every act of a plan, with who does it."""

from functools import partial
from typing import Protocol

from sinks.keys.intake import subject_key, unsubscribe_keys
from sinks.keys.keks import Keks
from sinks.keys.vault import Vault
from streams.cases.transitions import Transitions
from streams.profiles import require_key
from streams.rights.cases import CaseActs
from streams.rights.correct import CorrectionActs
from streams.rights.demands import DemandActs
from streams.rights.doing import Handlers, Outsides
from streams.rights.holds import HoldActs
from streams.rights.letters import Letters
from streams.rights.profile import ProfileSteps
from streams.rights.transfer import TransferActs
from streams.rights.visitors import VisitorActs
from streams.shared import Shared


class Doer(Protocol):
    """Does some of the acts."""

    def handlers(self) -> Handlers:
        """Return what does each act in the ledger."""
        ...

    def outside(self) -> Outsides:
        """Return what does each act outside."""
        ...


def acts(shared: Shared, letters: Letters) -> tuple[Handlers, Outsides]:
    """Return what does each act: in the ledger, and outside of it. Raise SettingsError."""
    policy, topic_of = shared.known_policy, shared.settings.topic
    secrets = shared.settings.secrets
    transitions = Transitions(policy, topic_of, partial(unsubscribe_keys, secrets))
    vault = Vault(Keks.under(secrets))
    doers: list[Doer] = [
        CaseActs(policy, transitions),
        CorrectionActs(policy, vault, transitions, subject_key(secrets)),
        DemandActs(policy, vault, topic_of),
        TransferActs(policy, shared.ledger, secrets),
        HoldActs(policy, transitions),
        VisitorActs(policy, topic_of),
        letters,
    ]
    handlers = {act: does for each in doers for act, does in each.handlers().items()}
    outside = {act: does for each in doers for act, does in each.outside().items()}
    if policy.profiles is not None:
        key = require_key(shared.settings)
        handlers |= ProfileSteps(policy.profiles, key).handlers()
    return handlers, outside
