"""Clocks that are wrong, or step back: of one process, by libfaketime.

Only what tells the time of day is changed; clocks that nobody sets (``CLOCK_MONOTONIC``,
``CLOCK_BOOTTIME``) go on, as when a clock of a machine is set.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import libfaketime

from lethe.local.process import Process
from privacy.durations import DAY_MS
from streams.shared import now
from streams.status import _offsets
from streams.wiring import CLOSE_SECONDS
from tests.chaos.faults import Fault
from tests.chaos.stack import ChaosError, Stack, wait

LIBRARY: Final = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
READ_SECONDS: Final = 1  # how often a process looks for what its clock is to say

STEPS: Final = ("+1h", "-1h", "+1d", "-1d")

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
def wrong(process: Process, step: str) -> Iterator[Callable[[str], None]]:
    """Start a process anew with a clock that is ``step`` off, until the block ends.

    ``step`` is as libfaketime has it: ``+1h``, ``-1d``. Gives what sets it while it runs.
    """
    file = process.log.with_name(f"{process.name}.clock")
    before = process.environment

    def set_(step: str) -> None:
        draft = file.with_suffix(".new")
        draft.write_text(f"{step}\n")
        draft.replace(file)

    set_(step)
    process.environment = {
        **(before or {}),
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": str(READ_SECONDS),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
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
        set_(step.translate({ord("+"): "-", ord("-"): "+"}))
        time.sleep(2 * READ_SECONDS)
        _works(stack, worker)
    stack.flow()
    return f"{worker.name} {step}"


def _begun(worker: Process) -> int:
    """Return how often a worker has begun to work: it says so, each time."""
    return worker.log.read_text().count('"event": "metrics"')


def _works(stack: Stack, worker: Process) -> None:
    """Wait until it has gone on by its wrong clock, and see that no day was published early."""
    kafka, topic = stack.settings.kafka, READS[worker.name]

    def place() -> int:
        found = _offsets(kafka.bootstrap, kafka.options, kafka.prefix, *topic)
        return found[1] if found else 0

    before = place()
    wait(lambda: place() > before, f"{worker.name} to go on")
    if worker.name == CLOSER:
        time.sleep(2 * CLOSE_SECONDS)  # a day that looks over is closed by then
    with stack.house() as house:
        ((last,),) = house.query("SELECT toUInt32(max(day)) FROM periods")
    if last >= now() // DAY_MS:
        raise ChaosError("a day was published before it was over")


FAULTS = (Fault("worker's clock wrong, then steps", is_wrong, ci=4, nightly=50),)
