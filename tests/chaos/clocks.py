"""Clocks that are wrong, or step: the time of day as one process reads it.

It is changed within Python (``skew/sitecustomize.py``), where all that Lethe decides by a clock is
decided. A library that is put before the system's own, libfaketime, has librdkafka wait for as long
as the clock is off: no machine does so when its clock is set.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Final

from confluent_kafka import KafkaException

from lethe.local.process import Process
from privacy.durations import DAY_MS
from sinks.clickhouse.client import ClickHouseDownError
from streams.shared import now
from streams.status import come_to
from streams.wiring import CLOSE_SECONDS
from tests.chaos.faults import Fault
from tests.chaos.stack import ChaosError, Stack, wait

SKEW: Final = Path(__file__).with_name("skew")
READ_SECONDS: Final = 1.0  # more than it takes until a process looks for what its clock is to say

HOUR: Final = 3_600  # seconds
STEPS: Final = (HOUR, -HOUR, 24 * HOUR, -24 * HOUR)

CLOSER: Final = "entrance"  # which worker closes days

# What each worker of WORKERS reads, and from where.
READS: Final = {
    "entrance": ("anonymise", "tracking-events"),
    "loader": ("load", "tracking-anonymised"),
    "ads-1": ("route", "tracking-events"),
    "ads-2": ("route", "tracking-events"),
    "cases": ("cases", "form-submissions"),
}


@contextmanager
def wrong(process: Process, seconds: int) -> Iterator[Callable[[int], None]]:
    """Start a process anew with a clock that is so far ahead, until the block ends.

    Gives what sets it while it runs.
    """
    file = process.log.with_name(f"{process.name}.clock")
    before = process.environment

    def set_(seconds: int) -> None:
        draft = file.with_suffix(".new")
        draft.write_text(f"{seconds}")
        draft.replace(file)

    set_(seconds)
    process.environment = {
        **(os.environ if before is None else before),
        "PYTHONPATH": str(SKEW),
        "LETHE_CHAOS_CLOCK": str(file),
    }
    try:
        _again(process)
        yield set_
    finally:
        process.environment = before
        _again(process)


def _again(process: Process) -> None:
    """Have a process end in an orderly way; it is started again."""
    restarts = process.restarts
    process.stop()
    wait(lambda: process.restarts > restarts and process.alive(), f"{process.name} to be back")


def is_wrong(stack: Stack, random: Random) -> str:
    """Have a worker's clock be wrong, and step back to as much on the other side while it runs."""
    worker, step = random.choice(stack.workers), random.choice(STEPS)
    begun = _begun(worker)
    with wrong(worker, step) as set_:
        wait(lambda: _begun(worker) > begun, f"{worker.name} to begin")
        _works(stack, worker)
        set_(-step)
        time.sleep(READ_SECONDS)
        _works(stack, worker)
    stack.flow()
    return f"{worker.name} by {step / HOUR:+g} h"


def _begun(worker: Process) -> int:
    """Return how often a worker has begun to work: it says so, each time."""
    return worker.log.read_text().count('"event": "metrics"')


def _works(stack: Stack, worker: Process) -> None:
    """Wait until it has gone on by its wrong clock, and see that no day was published early.

    Broker and ClickHouse may be away meanwhile: other faults are injected alongside.
    """
    reads = READS[worker.name]
    places: list[int] = []
    days: list[int] = []

    def went_on() -> bool:
        with suppress(KafkaException):
            _, done = come_to(stack.places, stack.settings.kafka.prefix, [reads]).get(reads, (0, 0))
            places.append(done)
        # Whoever has all of it read again sets places back, and only the worker forward.
        return bool(places) and places[-1] > min(places)

    def answered() -> bool:
        with suppress(ClickHouseDownError), stack.house() as house:
            ((last,),) = house.query("SELECT toUInt32(max(day)) FROM periods")
            days.append(last)
        return bool(days)

    wait(went_on, f"{worker.name} to go on")
    if worker.name == CLOSER:
        time.sleep(2 * CLOSE_SECONDS)  # a day that looks over is closed by then
    wait(answered, "ClickHouse to say which day was the last")
    if days[-1] >= now() // DAY_MS:
        raise ChaosError("a day was published before it was over")


FAULTS = (Fault("worker's clock wrong, then steps", is_wrong, ci=2, nightly=20, alongside=True),)
