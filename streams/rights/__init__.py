"""The rights of a person (S17 to S24): from what they ask to the answer. Loops need [rights]."""

import threading
from collections.abc import Callable, Mapping
from functools import partial

from sinks.keys.intake import links_keys
from sinks.keys.keks import Keks
from sinks.keys.vault import Vault
from streams.alerts import ALERTS, Alerts
from streams.profiles import require_key
from streams.rights import facts
from streams.rights.acts import acts
from streams.rights.closing import Closing
from streams.rights.engine import READER, Engine
from streams.rights.gather import Gatherer
from streams.rights.lane import RequestsLane
from streams.rights.letters import LETTERS, Letters
from streams.rights.overdue import OverdueRequests
from streams.shared import Shared, now
from streams.subject_requests import REQUESTS
from streams.turns import take_turns

IDLE_SECONDS = 0.1
UPKEEP_MS = 10_000  # between looks for what is over and what is late


def take_in(shared: Shared, stop: threading.Event) -> None:
    """Run the requests lane."""
    topic_of = shared.settings.topic
    RequestsLane(
        topic_of(REQUESTS),
        shared.known_policy,
        shared.ledger,
        dead_letters=topic_of("dead-letters"),
        vault=_vault(shared),
        letters=_letters(shared),
        consumer=shared.consumer("requests"),
        producer=shared.producer("requests"),
        clock=now,
    ).run(stop)


def answer(shared: Shared, stop: threading.Event) -> None:
    """Run the engine, and what looks after requests that are over or late."""
    policy, producer = shared.known_policy, shared.producer(READER)
    handlers, outside = acts(shared, _letters(shared))
    alerts = Alerts(shared.settings.topic(ALERTS), producer)
    profiles_key = None if policy.profiles is None else require_key(shared.settings)
    engine = Engine(
        policy,
        shared.ledger,
        vault=_vault(shared),
        gatherer=Gatherer(policy, profiles_key),
        handlers=handlers,
        outside=outside,
        producer=producer,
        alerts=alerts,
        clock=now,
    )
    closing = Closing(policy, shared.ledger, now)
    overdue = OverdueRequests(shared.ledger, alerts, now)
    upkeep_at = 0

    def turn() -> bool:
        nonlocal upkeep_at
        busy = engine.turn()
        if now() >= upkeep_at:
            overdue.look()
            more = closing.look()
            upkeep_at = 0 if more else now() + UPKEEP_MS
        return busy

    take_turns(turn, stop, IDLE_SECONDS)


def _vault(shared: Shared) -> Vault:
    return Vault(Keks.under(shared.settings.secrets))


def _letters(shared: Shared) -> Letters:
    links = partial(links_keys, shared.settings.secrets)
    return Letters(shared.known_policy, shared.settings.topic(LETTERS), links)


# By the name that ``lethe worker --only`` takes.
LOOPS: Mapping[str, Callable[[Shared, threading.Event], None]] = {
    "requests": take_in,
    "rights": answer,
    "visitor-facts": facts.run,
}
