"""What is measured of the whole pipeline, each on topics of its own.

What a run shows that must not be ends it: an acknowledged event that is missing, one that is
stored twice, a process that ended.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.events import events
from bench.load.company import Company, Phase, company
from bench.load.sender import BATCH
from bench.load.watch import Look
from lethe import Publisher
from lethe.standins.account import SITE
from sinks.clickhouse.connect import connect
from sinks.kafka import BatchProducer
from streams.kafka_login import options
from streams.shared import Shared

CAPACITY_SECONDS = 20.0
FRAMED = 500_000  # events that lie on the topic already framed
PUBLISHED = 50_000  # by the SDK
STEADY_SECONDS = 120.0
BURST_SECONDS = 10.0
CALM_SECONDS = 30.0
ROOM = 1.2  # of capacity: what the collector takes of a site before it says 429

Result = Mapping[str, Any]


def http(shared: Shared, scale: float) -> Result:
    """Send through the collector as fast as it answers, until all is stored."""
    with company(shared.settings) as pipeline:
        pipeline.start()
        return capacity(pipeline, scale)


def capacity(pipeline: Company, scale: float) -> Result:
    """Measure events a second from the sender to ClickHouse, waiting for the last."""
    pipeline.send(max(5 * scale, 1.0))  # warm
    pipeline.drain()
    phase = pipeline.send(CAPACITY_SECONDS * scale)
    seconds = phase.took + pipeline.drain()
    pipeline.require_kept(phase)
    return {
        "events": phase.acknowledged,
        "seconds": seconds,
        "a_second": phase.acknowledged / seconds,
        "late": phase.late,
    }


def sdk(shared: Shared, scale: float) -> Result:
    """Publish with the SDK from one process."""
    count = int(PUBLISHED * scale)
    settings = shared.settings

    def publish() -> None:
        with Publisher(settings.kafka.bootstrap, SITE, prefix=settings.kafka.prefix) as publisher:
            for number in range(count):
                publisher.publish(
                    {
                        "type": "page_view",
                        "page": f"/p/{number % 5_000}",
                        "cookie_id": f"c{number}",
                    },
                    address="198.51.100.7",
                )

    return _straight(shared, count, publish)


def framed(shared: Shared, scale: float) -> Result:
    """Publish events that are framed already: what the lanes bear behind the entrances."""
    count = int(FRAMED * scale)
    settings = shared.settings
    chunks = list(events(count))

    def publish() -> None:
        producer = BatchProducer(settings.kafka.bootstrap, options(settings))
        for chunk in chunks:
            producer.send(settings.topic("tracking-events"), chunk)
        producer.stored(120)

    return _straight(shared, count, publish)


def _straight(shared: Shared, count: int, publish: Callable[[], None]) -> Result:
    """Publish straight to Kafka, and wait until all is in ClickHouse, once."""
    with company(shared.settings) as pipeline:
        pipeline.start()
        with connect(shared.settings.clickhouse, "admin", shared.settings.secrets) as house:

            def rows() -> int:
                return int(house.query("SELECT count() FROM facts")[0][0])

            before = rows()
            began = time.monotonic()
            publish()
            published = time.monotonic() - began
            pipeline.drain()
            seconds = time.monotonic() - began
            if (stored := rows() - before) != count:
                raise RuntimeError(f"of {count} events, {stored} were stored")
    return {
        "events": count,
        "published": published,
        "seconds": seconds,
        "a_second": count / seconds,
    }


def load(shared: Shared, scale: float) -> Result:
    """Half of what it bears, all of it, ten times as much for a moment, and calm again."""
    steady = STEADY_SECONDS * scale
    with company(shared.settings) as pipeline:
        pipeline.start()
        found = capacity(pipeline, max(scale, 0.25))
        most = found["a_second"]
        pipeline.collect(ROOM * most)
        plan = (
            ("half", most / 2, steady),
            ("all of it", most, steady),
            ("ten times", most * 10, max(BURST_SECONDS * scale, 3.0)),
            ("calm", most / 2, max(CALM_SECONDS * scale, 5.0)),
        )
        phases, results = [], []
        with pipeline.watch() as watch:
            for name, rate, seconds in plan:
                first = len(watch.looks)
                phases.append(pipeline.send(seconds, rate))
                results.append(_told(name, rate, phases[-1], watch.looks[first:]))
            drained = pipeline.drain()
            time.sleep(max(10 * scale, 1.0))  # for memory to be given back
            last = watch.look()
        unasked = pipeline.require_kept(*phases)
    return {
        "capacity": found,
        "phases": results,
        "drained": drained,
        "stored_unacknowledged": unasked,
        "rss_at_the_end": last.rss,
        "behind_at_the_end": last.behind,
    }


def _told(name: str, rate: float, phase: Phase, looks: Sequence[Look]) -> Result:
    offered = sum(phase.outcomes.values()) * BATCH
    return {
        "name": name,
        "rate": rate,
        "seconds": phase.took,
        "offered": offered,
        "acknowledged": phase.acknowledged,
        "outcomes": {each: times * BATCH for each, times in phase.outcomes.items()},
        "late": phase.late,
        "most_behind": max((max(each.behind.values()) for each in looks), default=0),
        "rss": looks[-1].rss if looks else {},
        "most_rss": {
            process: max(look.rss.get(process, 0) for look in looks)
            for process in (looks[-1].rss if looks else ())
        },
    }


MEASURES: Mapping[str, Callable[[Shared, float], Result]] = {
    "http": http,
    "sdk": sdk,
    "framed": framed,
    "load": load,
}
