"""Routing, measured: the decision alone, and the whole route lane, on Kafka in memory."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bench.ads.kafka import Backlog, Mark, Message, Writer, mark
from bench.ads.traffic import EACH, GIVEN, POLICY, Choices, epoch, events, key, partition
from bench.contenders import KEPT, rss
from bench.events import SITES
from privacy.policy import Policy
from privacy.pseudonym import Salt
from sinks.geo import Places, ensure
from streams.lanes.reader import Reader
from streams.lanes.route import RouteLane, Router
from streams.lanes.rules import Rules, SiteRules
from streams.settings import load

VISITORS = 1_000_000
DECIDED = 1_000_000
ROUTED = 300_000
BATCH = 10_000
CONSENTED, WITHDRAWN = 0.1, 0.02  # of the events


def routing() -> Mapping[str, Mapping[str, float]]:
    """Hold what a million visitors chose, decide by it, and route by it."""
    before = rss()
    choices = Choices(VISITORS)
    held = rss() - before
    return {
        "consents": {"visitors": VISITORS, "rss": held},
        "decide": _decide(choices),
        "route": _route_all(choices),
    }


def _decide(choices: Choices) -> Mapping[str, float]:
    """Decide consent for events of random visitors, each under an epoch of its own."""
    random = np.random.default_rng(3)
    spent = 0.0
    allowed = 0
    for _ in range(DECIDED // BATCH):
        who = random.integers(VISITORS, size=BATCH)
        visitors = [key(each) for each in who.tolist()]
        start = mark(0)
        codes = choices.refusals(visitors, "ads-measurement", who + epoch(0))
        spent += mark(0).cpu - start.cpu
        allowed += int(np.count_nonzero(codes == 0))
    if not 0.9 < allowed / DECIDED / (GIVEN / EACH) < 1.1:
        raise RuntimeError("the decisions are wrong")
    return {"events": DECIDED, "cpu": spent}


def _route_all(choices: Choices) -> Mapping[str, float]:
    """Run the route lane for five providers, with a tenth of the events consented."""
    writer = Writer(keeps=False)
    source = _messages(events(ROUTED, VISITORS, CONSENTED, WITHDRAWN))
    first, last = _route(POLICY, source, choices, writer)
    return {
        "events": ROUTED,
        "routed": writer.sent,
        "cpu": last.cpu - first.cpu,
        "seconds": last.at - first.at,
    }


def routed(policy: Policy, count: int, choices: Choices) -> Mapping[str, Sequence[Message]]:
    """Return, by provider, what the route lane makes of ``count`` events with consent."""
    writer = Writer()
    source = _messages(events(count, len(choices.standings), 1.0, 0.0))
    _route(policy, source, choices, writer)
    now = time.time_ns() // 1_000_000
    return {
        provider: [
            Message(value, (f"ads-{provider}", partition(visitor), offset), now, visitor)
            for offset, (visitor, value) in enumerate(found)
        ]
        for provider, found in writer.kept.items()
    }


def _messages(chunks: Iterable[Sequence[bytes]]) -> Sequence[Message]:
    now = time.time_ns() // 1_000_000
    values = (value for chunk in chunks for value in chunk)
    return [Message(v, ("tracking-events", 0, offset), now) for offset, v in enumerate(values)]


def _route(
    policy: Policy, source: Sequence[Message], choices: Choices, writer: Writer
) -> tuple[Mark, Mark]:
    stop = threading.Event()
    backlog = Backlog(source, stop, len(source))
    settings = load(engines=False)
    places = Places.open(ensure(settings.geo.cache, settings.geo.databases))
    sites = dict.fromkeys(SITES, SiteRules(KEPT, search_terms=False))
    rules = Rules(sites, places, _no_salt)
    RouteLane(
        Router(policy),
        lambda: rules,
        choices,
        reader=Reader(backlog, BATCH, 0.01),
        producer=writer,
        topic_of=str,
    ).run(stop)
    return backlog.first, backlog.last


def _no_salt(_: int) -> Salt:
    raise RuntimeError("the benchmark's events carry their visitor hash")
