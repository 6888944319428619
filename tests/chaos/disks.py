"""Disks that are full: the broker's, ClickHouse's, and the ledger's."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

from tests.chaos.faults import Fault
from tests.chaos.stack import Stack

DISKS: Final = "small disks"  # what a ground offers: by whose they are, the folder where they begin

FILLER: Final = "filler"


@contextmanager
def full(folder: Path) -> Iterator[Callable[[], int]]:
    """Fill the disk of a folder until nothing fits, and until the block ends.

    Gives what fills it again, as others may have deleted something, and returns the bytes added.
    """
    filler = folder / FILLER
    with filler.open("wb", buffering=0) as file:
        try:
            _fill(file.fileno())
            yield lambda: _fill(file.fileno())
        finally:
            filler.unlink()


def _fill(file: int) -> int:
    added = 0
    for size in (1 << 24, 1 << 16, 1 << 12, 1):
        try:
            while True:
                os.posix_fallocate(file, os.lseek(file, 0, os.SEEK_END), size)
                added += size
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return added


def broker_is_full(stack: Stack, random: Random) -> str:
    """Fill the broker's disk: it stores nothing, and may end for it."""
    return _fill_of(stack, "kafka", random)


def clickhouse_is_full(stack: Stack, random: Random) -> str:
    """Fill ClickHouse's disk: nothing is loaded, and the loader waits or gives up."""
    return _fill_of(stack, "clickhouse", random)


def ledger_is_full(stack: Stack, random: Random) -> str:
    """Fill the ledger's disk: nothing is decided, and no form taken."""
    return _fill_of(stack, "ledger", random)


def _fill_of(stack: Stack, whose: str, random: Random) -> str:
    ended = _restarts(stack)
    with full(stack.ground.offers[DISKS][whose]) as fill:
        deadline = time.monotonic() + random.uniform(4, 8)
        while time.monotonic() < deadline:
            fill()
            time.sleep(0.2)
        stack.meet()
    stack.flow(seconds=60)
    names = [each for each, count in _restarts(stack).items() if count > ended[each]]
    return f"tmpfs of limited size{', ended: ' if names else ''}{', '.join(sorted(names))}"


def _restarts(stack: Stack) -> dict[str, int]:
    every = (*stack.brokers, stack.clickhouse, *stack.processes)
    return {each.name: each.restarts for each in every}


NEEDS: Final = frozenset({DISKS})

FAULTS = (
    Fault("broker's disk full", broker_is_full, NEEDS, ci=1, nightly=5),
    Fault("ClickHouse's disk full", clickhouse_is_full, NEEDS, ci=1, nightly=5),
    Fault("ledger's disk full", ledger_is_full, NEEDS, ci=1, nightly=5),
)
