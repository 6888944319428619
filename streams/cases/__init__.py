"""Cases: from a form to the end of its service. The worker's loops for them need a policy."""

import threading
from collections.abc import Callable, Mapping
from functools import partial

from privacy.policy import Policy
from sinks.keys.intake import unsubscribe_keys
from sinks.keys.keks import KeyStoreError
from sinks.ledger import cases
from streams.cases.closures import Closures
from streams.cases.lane import CasesLane, Topics
from streams.cases.transitions import Transitions
from streams.settings import SettingsError
from streams.shared import Shared, now

SUBMISSIONS = "form-submissions"
EVENTS = "service-events"


def run_cases(shared: Shared, stop: threading.Event) -> None:
    """Run the cases lane."""
    settings, policy = shared.settings, _policy(shared)
    CasesLane(
        Topics(*map(settings.topic, (SUBMISSIONS, EVENTS, "dead-letters"))),
        policy,
        _transitions(shared, policy),
        shared.ledger,
        consumer=shared.consumer("cases"),
        producer=shared.producer("cases"),
        clock=now,
    ).run(stop)


def run_closures(shared: Shared, stop: threading.Event) -> None:
    """Close groups, and end cases whose time in their state is over."""
    policy = _policy(shared)
    transitions = _transitions(shared, policy)
    Closures(policy, transitions, shared.ledger, shared.producer("cases"), now).run(stop)


def _transitions(shared: Shared, policy: Policy) -> Transitions:
    """Return what events make of cases. Raise SettingsError when nothing can sign links."""
    links = partial(unsubscribe_keys, shared.settings.secrets)
    if policy.lists:
        try:
            links()
        except KeyStoreError as error:
            raise SettingsError(f"secrets: {error}") from None
    return Transitions(policy, shared.settings.topic, links)


def _policy(shared: Shared) -> Policy:
    """Return the policy. Raise SettingsError when a case's service is not in it any more."""
    policy = shared.known_policy
    with shared.ledger.reading() as connection:
        gone = cases.services(connection) - policy.services.keys()
    if gone:
        names = ", ".join(sorted(gone))
        raise SettingsError(f"policy: services with cases are missing: {names}; end those first")
    return policy


# By the name that ``lethe worker --only`` takes.
LOOPS: Mapping[str, Callable[[Shared, threading.Event], None]] = {
    "cases": run_cases,
    "closures": run_closures,
}
