"""Delivery, measured: the deliver lanes, a SQLite ledger, stand-ins in a process of their own.

Kafka and consents are in memory.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple

from bench.ads.kafka import Backlog, Writer
from bench.ads.routing import routed
from bench.ads.traffic import POLICY, Choices
from bench.events import SITES
from privacy.ads import ProviderName
from sinks.ads import ga4, google_ads, linkedin, meta, x
from sinks.ads.contract import Connector
from sinks.ledger.ledger import Ledger
from streams.delivery.clocks import Clocks
from streams.delivery.http import boottime
from streams.delivery.lane import DeliverLane
from streams.delivery.ledger_book import LedgerBook
from streams.delivery.settle import this_process
from streams.settings import Ads
from streams.shared import now

VISITORS = 50_000
PAGE_VIEWS = 0.6  # of the events, at least
SECONDS = 10  # of all together
LINGER = 3.0  # seconds in which X would have to say that it was too much
HOUR_MS = 3_600_000
LEASE_SECONDS = Ads().lease_seconds
NUMBERS = count()


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
        ga4.Account(dict.fromkeys(SITES, ga4.Stream("G-EXAMPLE", "1")), base_url=url),
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


def deliver(
    names: Sequence[ProviderName], url: str, folder: Path
) -> Mapping[str, Mapping[str, float]]:
    """Deliver to the stand-ins at ``url``, in one process as a worker does, with a ledger.

    Return by provider how much that was and how long it took; of several also how many seconds the
    last events took from their arrival to their commit.
    """
    choices = Choices(VISITORS)
    policy = POLICY.model_copy(
        update={"providers": {name: POLICY.providers[name] for name in names}}
    )
    together = len(names) > 1
    loads = {name: _shared(LOADS[name]) if together else LOADS[name] for name in names}
    most = max(load.events for load in loads.values())
    source = routed(policy, int(most / PAGE_VIEWS), choices)
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
    backlogs: dict[ProviderName, Backlog] = {}
    try:
        with ThreadPoolExecutor(len(names)) as threads:
            running = []
            for name, load in loads.items():
                stop = threading.Event()
                backlogs[name] = Backlog(
                    source[name][: load.events],
                    stop,
                    load.enough,
                    linger=LINGER if load.enough < load.events else 0.0,
                    rate=load.rate if together else None,
                )
                lane = _lane(name, f"{url}/{name}", backlogs[name], choices, ledger)
                running.append(threads.submit(lane.run, stop))
            for each in running:
                each.result()
    finally:
        ledger.close()
    return {name: _result(name, backlog, together) for name, backlog in backlogs.items()}


def _shared(load: Load) -> Load:
    """Return what arrives at the load's rate while all are delivered to."""
    events = int(load.rate * SECONDS)
    return load._replace(events=events, enough=events)


def _result(name: ProviderName, backlog: Backlog, together: bool) -> Mapping[str, float]:
    first, last = backlog.first, backlog.last
    seconds = last.at - first.at
    result = {"events": last.done, "seconds": seconds, "cpu": last.cpu - first.cpu}
    return {**result, "behind": seconds - last.done / LOADS[name].rate} if together else result


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
    )
