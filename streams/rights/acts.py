"""Every act of a plan, with who does it."""

from functools import cache, partial
from typing import Protocol

from sinks.clickhouse.visitors import ClickHouseFacts
from sinks.keys.intake import subject_key, unsubscribe_keys
from sinks.keys.keks import Keks
from sinks.keys.vault import Vault
from sinks.salts import Salts
from sinks.signing import Signer
from streams.cases.transitions import Transitions
from streams.profiles import require_key
from streams.rights.answers import AnswerActs
from streams.rights.cases import CaseActs
from streams.rights.copying import Copier, VisitsInFacts
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
    profiles_key = None if policy.profiles is None else require_key(shared.settings)
    doers: list[Doer] = [
        CaseActs(policy, transitions),
        CorrectionActs(policy, vault, transitions, subject_key(secrets)),
        DemandActs(policy, vault, topic_of),
        TransferActs(policy, shared.ledger, secrets),
        HoldActs(policy, transitions),
        VisitorActs(policy, topic_of),
        AnswerActs(
            policy,
            shared.ledger,
            Copier(policy, vault, _visits(shared), profiles_key),
            partial(Signer.under, secrets),
        ),
        letters,
    ]
    handlers = {act: does for each in doers for act, does in each.handlers().items()}
    outside = {act: does for each in doers for act, does in each.outside().items()}
    if policy.profiles is not None and profiles_key is not None:
        handlers |= ProfileSteps(policy.profiles, profiles_key).handlers()
    return handlers, outside


def _visits(shared: Shared) -> VisitsInFacts:
    facts = cache(lambda: ClickHouseFacts(shared.clickhouse("eraser")))
    return VisitsInFacts(facts, Salts.under(shared.settings.data_dir))
