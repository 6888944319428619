"""Delivery, measured: the deliver lanes, a SQLite ledger, stand-ins in a process of their own.

Kafka and consents are in memory. To several providers at once, visitors withdraw meanwhile: the
consent lane records it, and the worker's own loop lets it be effective.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench.ads.kafka import Backlog, Message, Writer
from bench.ads.routing import routed
from bench.ads.traffic import POLICY, Choices, epoch
from bench.ads.withdrawals import RATE, Withdrawals, dropped, effective, remember, took
from bench.events import SITES
from bench.loops import working
from privacy.ads import ProviderName
from sinks.ads import ga4, google_ads, linkedin, meta, x
from sinks.ads.contract import Connector
from sinks.ledger.ledger import Ledger
from streams.ads import settling
from streams.delivery.clocks import Clocks
from streams.delivery.http import boottime
from streams.delivery.lane import DeliverLane
from streams.delivery.ledger_book import LedgerBook
from streams.delivery.settle import this_process
from streams.egress import Egress
from streams.settings import Ads
from streams.settings import load as load_settings
from streams.shared import Shared, now

VISITORS = 50_000
PAGE_VIEWS = 0.6  # of the events, at least
SECONDS = 20  # of all together
LINGER = 3.0  # seconds in which X would have to say that it was too much
HOUR_MS = 3_600_000
LEASE_SECONDS = Ads().lease_seconds
NUMBERS = count()
Result = Mapping[str, float]


class Load(NamedTuple):
    """What a provider is to bear: ``rate`` a second of ``unit``.

    Alone it gets ``events`` at once, of which ``enough`` must leave; among the others so many a
    second as the rate asks for.
    """

    unit: Literal["events", "requests"]
    rate: float
    events: int
    enough: int


LOADS: Mapping[ProviderName, Load] = {
    "ga4": Load("requests", 300.0, 4_000, 4_000),
    "google-ads": Load("events", 2_000.0, 20_000, 20_000),
    "linkedin": Load("events", 2_000.0, 20_000, 20_000),
    "meta": Load("events", 2_000.0, 20_000, 20_000),
    "x": Load("events", 60_000 / 900, 61_000, 60_000),  # the last thousand must wait
}

CONNECTORS: Mapping[ProviderName, Callable[[str], Connector]] = {
    "ga4": lambda url: ga4.GA4(
        ga4.Account(
            dict.fromkeys(SITES, ga4.Stream("G-EXAMPLE", "1")), base_url=url, admin_url=url
        ),
        lambda _: "ga4-secret",
        lambda: "google-token",
    ),
    "google-ads": lambda url: google_ads.GoogleAds(
        google_ads.Account(dict.fromkeys(SITES, "1"), base_url=url), lambda: "google-token"
    ),
    "linkedin": lambda url: linkedin.LinkedIn(
        linkedin.Account(base_url=url), lambda: "linkedin-token"
    ),
    "meta": lambda url: meta.Meta(
        meta.Account(dict.fromkeys(SITES, "1"), base_url=url), lambda: "meta-token"
    ),
    "x": lambda url: x.X(
        x.Account(dict.fromkeys(SITES, "ex4mp"), base_url=url),
        lambda: x.OAuth("x-consumer-key", "x-consumer-secret", "x-token", "x-token-secret"),
    ),
}


def deliver(names: Sequence[ProviderName], url: str, folder: Path) -> Mapping[str, Any]:
    """Deliver to the stand-ins at ``url``, in one process as a worker does, with a ledger.

    Return by provider how much that was and how long it took. Of several, between whose events
    visitors withdraw, also how many seconds the last events took from their arrival to their
    commit, and how long the withdrawals took.
    """
    choices = Choices(VISITORS)
    policy = POLICY.model_copy(
        update={"providers": {name: POLICY.providers[name] for name in names}}
    )
    together = len(names) > 1
    loads = {name: _shared(LOADS[name]) if together else LOADS[name] for name in names}
    most = max(load.events for load in loads.values())
    source = routed(policy, int(most / PAGE_VIEWS), choices)
    shared = Shared(load_settings(engines=False, data_dir=folder))
    ledger = shared.ledger
    backlogs = {
        name: Backlog(
            source[name][: load.events],
            threading.Event(),
            load.enough,
            linger=LINGER if load.enough < load.events else 0.0,
            rate=load.rate if together else None,
        )
        for name, load in loads.items()
    }
    try:
        loops = [
            _lane(name, f"{url}/{name}", backlog, choices, ledger).run
            for name, backlog in backlogs.items()
        ]
        if not together:
            with working(loops) as until:
                until(lambda: _finished(backlogs.values()))
            return {"providers": _results(backlogs)}
        remember(ledger, VISITORS)
        withdrawals = _withdrawals(source["ga4"][: loads["ga4"].events])
        choices.changes = withdrawals.arriving()
        loops += [withdrawals.lane(ledger).run, partial(settling, shared)]
        with working(loops) as until:
            until(lambda: _finished(backlogs.values()))
            until(lambda: effective(ledger) == len(withdrawals))
        results = {
            name: {
                **result,
                "behind": result["seconds"] - result["events"] / LOADS[name].rate,
                "dropped": dropped(ledger).get(name, 0),
            }
            for name, result in _results(backlogs).items()
        }
        return {"providers": results, "withdrawals": took(ledger)}
    finally:
        ledger.close()


def _withdrawals(events: Sequence[Message]) -> Withdrawals:
    """Have visitors withdraw a second after a page view that GA4 is told, at the earliest."""
    between = int(LOADS["ga4"].rate / RATE)
    visitors = list(dict.fromkeys(each.key() or b"" for each in events[::between]))
    return Withdrawals(visitors[: (SECONDS - 1) * RATE], epoch(2 * VISITORS), now() + 1_000)


def _finished(backlogs: Iterable[Backlog]) -> bool:
    return all(each.finished.is_set() for each in backlogs)


def _shared(load: Load) -> Load:
    """Return what arrives at the load's rate while all are delivered to."""
    events = int(load.rate * SECONDS)
    return load._replace(events=events, enough=events)


def _results(backlogs: Mapping[ProviderName, Backlog]) -> Mapping[ProviderName, Result]:
    return {
        name: {
            "events": each.last.done,
            "seconds": each.last.at - each.first.at,
            "cpu": each.last.cpu - each.first.cpu,
        }
        for name, each in backlogs.items()
    }


def _lane(
    name: ProviderName, url: str, backlog: Backlog, choices: Choices, ledger: Ledger
) -> DeliverLane:
    purpose = POLICY.providers[name].purpose
    return DeliverLane(
        CONNECTORS[name](url),
        purpose,
        f"ads-{name}",
        "dead-letters",
        consumer=backlog,
        producer=Writer(),
        consents=choices,
        book=LedgerBook(ledger, name, purpose, this_process(name), now),
        clocks=Clocks(now, boottime, lambda: f"nonce-{next(NUMBERS)}"),
        patience_ms=HOUR_MS,
        lease=LEASE_SECONDS,
        egress=Egress.to([url], clear=True),
    )
