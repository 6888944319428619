"""What is compared, each in a process of its own: ``python -m bench.contenders NAME ...``.

All read the same topic to its end, publish what they made of it and commit, and print one line of
JSON: events, seconds, CPU seconds (user and system of this process; the broker's are its own).
"""

import argparse
import asyncio
import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.events import SITES
from sinks.geo import Places
from sinks.kafka import BatchProducer, consumer, poll
from streams.lanes.anonymise import AnonymiseLane, Outputs
from streams.lanes.brake import Brake
from streams.lanes.load import LoadLane
from streams.lanes.rules import Rules, SiteRules
from streams.lanes.steps import SHORTENED

BATCH = 20_000
WAIT = 0.25
KEPT = frozenset({"utm_source", "utm_medium", "utm_campaign"})
RULES = {site: SiteRules(KEPT, search_terms=False) for site in SITES}


@contextmanager
def measured(name: str, count: int) -> Iterator[None]:
    """Print what the block took."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.monotonic()
    yield
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = {"name": name, "events": count, "seconds": seconds, "cpu": cpu, "rss": rss()}
    print(json.dumps(result), flush=True)


def rss() -> int:
    """Return this process's resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def passthrough(bootstrap: str, count: int, _: Path) -> None:
    """The ceiling: the same client copies bytes untouched."""
    source = consumer(bootstrap, "bench-passthrough", {})
    source.subscribe(["tracking-events"])
    producer = BatchProducer(bootstrap, {})
    done = 0
    with measured("passthrough", count):
        while done < count:
            messages = poll(source, BATCH, WAIT)
            if messages:
                producer.send("bench-copied", [message.value() for message in messages])
                producer.stored()
                source.commit(asynchronous=False)
                done += len(messages)
    source.close()


class Finish(Brake):
    """Ends a lane after so many messages: the brake is what sees each batch go by."""

    def __init__(self, count: int, stop: threading.Event) -> None:
        super().__init__(1.0, 1)
        self.left = count
        self.stop = stop

    def judge(self, seen: int, refused: int) -> None:
        """Count down; no refusals are expected."""
        if refused:
            raise RuntimeError(f"{refused} of the benchmark's events were refused")
        self.left -= seen
        if self.left <= 0:
            self.stop.set()


def lane(bootstrap: str, count: int, cache: Path) -> None:
    """Run the anonymise lane."""
    places = Places.open(cache)
    rules = Rules(RULES, places, _no_salt)
    stop = threading.Event()
    source = consumer(bootstrap, "bench-lane", {})
    source.subscribe(["tracking-events"])
    running = AnonymiseLane(
        "bench",
        SHORTENED,
        lambda: rules,
        source,
        BatchProducer(bootstrap, {}),
        Outputs("tracking-anonymised", "dead-letters"),
        Finish(count, stop),
        batch=BATCH,
        wait=WAIT,
    )
    with measured("lane", count):
        running.run(stop)


def plain(bootstrap: str, count: int, cache: Path) -> None:
    """Run a plain consumer with fastavro, doing the same steps a message at a time."""
    anonymise = row_anonymiser(RULES, Places.open(cache), int(time.time() * 1000))
    source = consumer(bootstrap, "bench-plain", {})
    source.subscribe(["tracking-events"])
    producer = BatchProducer(bootstrap, {})
    done = 0
    with measured("plain", count):
        while done < count:
            messages = poll(source, BATCH, WAIT)
            if messages:
                results = [anonymise(message.value()) for message in messages]
                producer.send("bench-plain", [value for value in results if value is not None])
                producer.stored()
                source.commit(asynchronous=False)
                done += len(messages)
    source.close()


def faust_agent(bootstrap: str, count: int, cache: Path) -> None:
    """Run an idiomatic Faust agent, doing the same steps an event at a time."""
    anonymise = row_anonymiser(RULES, Places.open(cache), int(time.time() * 1000))
    app = faust.App(
        "bench-faust",
        broker=f"kafka://{bootstrap}",
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
        with measured("faust", count):
            await finished.wait()
            await app.producer.flush()
        await app.stop()

    app.agent(source)(agent)
    asyncio.run(run())


def loader(bootstrap: str, count: int, _: Path) -> None:
    """Run the load lane into ClickHouse as the settings name it."""
    settings = load()
    stop = threading.Event()
    facts = CountingFacts(FactsWriter(connect(settings, "writer")), count, stop)
    running = LoadLane(
        "tracking-anonymised",
        "dead-letters",
        consumer(bootstrap, "bench-load", {}),
        BatchProducer(bootstrap, {}),
        facts,
        batch=100_000,
        wait=1.0,
    )
    with measured("loader", count):
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


def _no_salt() -> Salt:
    raise RuntimeError("the benchmark's events carry their visitor hash")


CONTENDERS: dict[str, Callable[[str, int, Path], None]] = {
    "passthrough": passthrough,
    "lane": lane,
    "plain": plain,
    "faust": faust_agent,
    "loader": loader,
}


def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("bootstrap")
    parser.add_argument("count", type=int)
    parser.add_argument("cache", type=Path)
    arguments = parser.parse_args()
    CONTENDERS[arguments.name](arguments.bootstrap, arguments.count, arguments.cache)


if __name__ == "__main__":
    main()
