"""What is compared, each in a process of its own: ``python -m bench.contenders NAME ...``.

All read the same topic to its end, publish what they made of it and commit, and print one line of
JSON: events, seconds, CPU seconds (user and system of this process; the broker's are its own).
"""

import argparse
import asyncio
import json
import resource
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faust
import pyarrow as pa
from confluent_kafka import Consumer

from bench.events import SITES, events
from bench.rows import row_anonymiser
from privacy.pseudonym import Salt
from schemas.columns import decode_batch
from sinks.clickhouse.facts import FactsWriter
from sinks.geo import Places, ensure
from sinks.kafka import BatchProducer, consumer, poll
from streams import kafka_login
from streams.lanes.anonymise import AnonymiseLane, Outputs
from streams.lanes.brake import Brake
from streams.lanes.load import LoadLane
from streams.lanes.reader import Reader
from streams.lanes.rules import Rules, SiteRules
from streams.lanes.steps import SHORTENED
from streams.run import spare_collector
from streams.settings import Settings, load
from streams.shared import clickhouse
from streams.wiring import LOAD_ROWS

BATCH = 10_000
WAIT = 0.25
KEPT = frozenset({"utm_source", "utm_medium", "utm_campaign"})
RULES = {site: SiteRules(KEPT, search_terms=False) for site in SITES}


@contextmanager
def measured(count: int, **more: Any) -> Iterator[None]:
    """Print what the block took, and ``more``."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.monotonic()
    yield
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"events": count, "seconds": seconds, "cpu": cpu, "rss": rss(), **more}))


def rss() -> int:
    """Return this process's resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def passthrough(settings: Settings, count: int) -> None:
    """Copy bytes untouched with the same client: the ceiling."""
    _consume(settings, count, "bench-passthrough", "bench-copied", lambda values: values)


def _consume(
    settings: Settings,
    count: int,
    group: str,
    target: str,
    make: Callable[[list[bytes]], list[bytes]],
) -> None:
    """Publish what ``make`` makes of each batch, and commit."""
    source = _consumer(settings, group)
    source.subscribe(["tracking-events"])
    producer = _producer(settings)
    done = 0
    with measured(count):
        while done < count:
            messages = poll(source, BATCH, WAIT)
            if messages:
                producer.send(target, make([message.value() for message in messages]))
                producer.stored()
                source.commit(asynchronous=False)
                done += len(messages)
    source.close()


class Finish(Brake):
    """Ends a lane after so many messages, noting its memory at each million: it sees each batch."""

    def __init__(self, count: int, stop: threading.Event) -> None:
        super().__init__(1.0, 1)
        self.done = 0
        self.count = count
        self.stop = stop
        self.rss: list[int] = []

    def judge(self, seen: int, refused: int) -> None:
        """Count; no refusals are expected."""
        if refused:
            raise RuntimeError(f"{refused} of the benchmark's events were refused")
        self.done += seen
        if self.done // 1_000_000 > len(self.rss):
            self.rss.append(rss())
        if self.done >= self.count:
            self.stop.set()


def lane(settings: Settings, count: int) -> None:
    """Run the anonymise lane."""
    _lane(settings, count, "bench-lane")


def memory(settings: Settings, count: int) -> None:
    """Run the anonymise lane on events that arrive while it runs, and watch its memory."""
    _lane(settings, count, "bench-memory")


def _lane(settings: Settings, count: int, group: str) -> None:
    rules = Rules(RULES, _places(settings), _no_salt)
    stop = threading.Event()
    finish = Finish(count, stop)
    source = _consumer(settings, group)
    source.subscribe(["tracking-events"])
    running = AnonymiseLane(
        group,
        SHORTENED,
        lambda: rules,
        reader=Reader(source, BATCH, WAIT),
        producer=_producer(settings),
        outputs=Outputs("tracking-anonymised", "dead-letters"),
        brake=finish,
    )
    with measured(count, rss_by_million=finish.rss):
        running.run(stop)


def plain(settings: Settings, count: int) -> None:
    """Run a plain consumer with fastavro, doing the same steps a message at a time."""
    anonymise = row_anonymiser(RULES, _places(settings), int(time.time() * 1000))

    def make(values: list[bytes]) -> list[bytes]:
        results = [anonymise(value) for value in values]
        return [value for value in results if value is not None]

    _consume(settings, count, "bench-plain", "bench-plain", make)


def faust_agent(settings: Settings, count: int) -> None:
    """Run an idiomatic Faust agent, doing the same steps an event at a time."""
    anonymise = row_anonymiser(RULES, _places(settings), int(time.time() * 1000))
    app = faust.App(
        "bench-faust",
        datadir=str(settings.data_dir / "faust"),
        broker=f"kafka://{settings.kafka.bootstrap}",
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    source = app.topic("tracking-events", value_type=bytes, value_serializer="raw")
    target = app.topic("bench-faust", value_type=bytes, value_serializer="raw")
    finished = asyncio.Event()

    async def agent(stream: faust.StreamT[bytes]) -> None:
        done = 0
        async for value in stream:
            result = anonymise(value)
            if result is not None:
                await target.send(value=result)
            done += 1
            if done == count:
                finished.set()

    async def run() -> None:
        app.finalize()
        await app.start()
        with measured(count):
            await finished.wait()
            await app.producer.flush()
        await app.stop()

    app.agent(source)(agent)
    asyncio.run(run())


def loader(settings: Settings, count: int) -> None:
    """Run the load lane into ClickHouse as the settings name it."""
    stop = threading.Event()
    facts = CountingFacts(FactsWriter(clickhouse(settings, "writer")), count, stop)
    running = LoadLane(
        "tracking-anonymised",
        "dead-letters",
        _consumer(settings, "bench-load"),
        _producer(settings),
        facts,
        batch=LOAD_ROWS,
        wait=1.0,
    )
    with measured(count):
        running.run(stop)


class CountingFacts:
    """Passes rows on, counts them, and ends the lane after so many."""

    def __init__(self, facts: FactsWriter, count: int, stop: threading.Event) -> None:
        self.facts = facts
        self.left = count
        self.stop = stop

    def write(self, columns: Mapping[str, pa.Array], token: str) -> None:
        """Insert and count down."""
        self.facts.write(columns, token)
        self.left -= len(columns["event_id"])
        if self.left <= 0:
            self.stop.set()


def _places(settings: Settings) -> Places:
    return Places.open(ensure(settings.geo.cache, settings.geo.databases))


def _consumer(settings: Settings, group: str) -> Consumer:
    return consumer(settings.kafka.bootstrap, group, kafka_login.options(settings))


def _producer(settings: Settings) -> BatchProducer:
    return BatchProducer(settings.kafka.bootstrap, kafka_login.options(settings))


def _no_salt(_: int) -> Salt:
    raise RuntimeError("the benchmark's events carry their visitor hash")


CONTENDERS: dict[str, Callable[[Settings, int], None]] = {
    "passthrough": passthrough,
    "lane": lane,
    "plain": plain,
    "faust": faust_agent,
    "loader": loader,
    "memory": memory,
}


def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    spare_collector()
    decode_batch("tracking_event", next(events(1)))  # pyarrow loads pandas at its first conversion
    CONTENDERS[arguments.name](load(), arguments.count)


if __name__ == "__main__":
    main()
