"""The worker's loops for consent and ads, which need a policy."""

import itertools
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from privacy.ads import ProviderName
from privacy.policy import Covers
from sinks.consent_barrier import CHANGES, STATE
from sinks.ledger import dispatchers
from streams import metrics, profiles
from streams.delivery.clocks import Clocks
from streams.delivery.connectors import connector, egress
from streams.delivery.http import boottime
from streams.delivery.lane import DeliverLane
from streams.delivery.ledger_book import LedgerBook
from streams.delivery.settle import bury, kill, promised_ms, settle, this_process
from streams.lanes.consent import ConsentLane
from streams.lanes.route import RouteLane, Router
from streams.shared import Shared, now
from streams.turns import take_turns
from streams.wiring import reader, renewing, rules

SETTLE_SECONDS = 0.05
BURY_EVERY = 20  # rounds of settling
TELL_EVERY_MS = 60_000

Loop = Callable[[Shared, threading.Event], None]

_log = structlog.get_logger()


def route(shared: Shared, stop: threading.Event) -> None:
    """Run the route lane."""
    settings, policy = shared.settings, shared.known_policy
    RouteLane(
        Router(policy),
        renewing(rules(shared)),
        shared.consents,
        reader=reader(shared, "route", "tracking-events"),
        producer=shared.producer("route"),
        topic_of=lambda provider: settings.topic(f"ads-{provider}"),
    ).run(stop)


def consent(shared: Shared, stop: threading.Event) -> None:
    """Run the consent lane."""
    settings, policy = shared.settings, shared.known_policy
    ConsentLane(
        settings.topic(CHANGES),
        settings.topic(STATE),
        shared.ledger,
        purposes=tuple(policy.purposes),
        ads=tuple(policy.covering(Covers.ADS)),
        profiles=profiles.by_consent(shared),
        consumer=shared.consumer("consent"),
        producer=shared.producer("consent"),
    ).run(stop)


def settling(shared: Shared, stop: threading.Event) -> None:
    """Let withdrawals be effective as soon as they are, and end dispatchers that stand in the way.

    While the ledger is away nothing becomes effective, and nothing is sent either.
    """
    late_ms = promised_ms(shared.settings.ads.lease_seconds)
    told: dict[int, int] = {}

    def tell(partition: int) -> None:
        if now() - told.get(partition, 0) > TELL_EVERY_MS:
            told[partition] = now()
            _log.error("withdrawal_not_effective", partition=partition, seconds=late_ms / 1000)

    rounds = itertools.count()

    def turn() -> None:
        here = dispatchers.here()
        for withdrawal in settle(shared.ledger, here, now, kill, late_ms, tell=tell):
            seconds = (now() - withdrawal.recorded_at) / 1000
            metrics.WITHDRAWAL_SECONDS.observe(seconds)
        if next(rounds) % BURY_EVERY == 0:
            bury(shared.ledger, here)

    take_turns(turn, stop, SETTLE_SECONDS)


def deliveries(shared: Shared) -> Mapping[str, Loop]:
    """Return a loop for each provider that the policy names."""
    if shared.policy is None:
        return {}
    return {f"deliver-{name}": partial(_deliver, name) for name in shared.policy.providers}


def _deliver(name: ProviderName, shared: Shared, stop: threading.Event) -> None:
    settings, purpose = shared.settings, shared.known_policy.providers[name].purpose
    DeliverLane(
        connector(name, settings),
        purpose,
        settings.topic(f"ads-{name}"),
        settings.topic("dead-letters"),
        consumer=shared.consumer(f"deliver-{name}"),
        producer=shared.producer("deliver"),
        consents=shared.consents,
        book=LedgerBook(shared.ledger, name, purpose, this_process(name), now),
        clocks=Clocks(now, boottime, lambda: uuid.UUID(bytes=os.urandom(16), version=4).hex),
        patience_ms=int(settings.ads.patience_hours * 3_600_000),
        lease=settings.ads.lease_seconds,
        egress=egress(name, settings),
    ).run(stop)


# Loops that need a policy, by the name that ``lethe worker --only`` takes; ``deliver`` is one more.
LOOPS: Mapping[str, Loop] = {"consent": consent, "route": route, "settle": settling}
