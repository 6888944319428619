"""What a worker consists of: its parts, by the names that ``lethe worker --only`` takes.

A module of parts is imported when one of them runs: a worker that deletes needs neither a table of
towns nor matrices, starts in half the time and is smaller.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module

from streams.service import InThread
from streams.shared import Shared

Loop = Callable[[Shared, threading.Event], None]

# Each module has a mapping ``LOOPS`` of its parts.
_STATISTICS = "streams.wiring"
MODULES: Mapping[str, Sequence[str]] = {
    _STATISTICS: ("anonymise", "anonymise-raw", "load", "close", "gauges", "security"),
    "streams.ads": ("consent", "route", "settle"),
    "streams.cases": ("cases", "closures"),
    "streams.deletion": ("delete", "receipts", "overdue"),
    "streams.profiles": ("profiles", "profiles-upkeep"),
    "streams.rights": ("requests", "rights", "visitor-facts"),
}

PARTS = (*(part for parts in MODULES.values() for part in parts), "deliver", "agents")
OF_A_POLICY = {*PARTS} - {*MODULES[_STATISTICS], "agents"}

# What parts need besides the broker: the ledger, and ClickHouse as one of its users.
# ``rights`` asks ClickHouse where it has to alone, and ``gauges`` shows what it can.
LEDGER, WRITER, ERASER = "ledger", "clickhouse-writer", "clickhouse-eraser"
NEEDS: Mapping[str, Collection[str]] = {
    **dict.fromkeys(("load", "close", "agents"), (WRITER,)),
    **dict.fromkeys(OF_A_POLICY - {"route"}, (LEDGER,)),
    "visitor-facts": (LEDGER, ERASER),
}


def loop_of(part: str) -> Loop:
    """Return what runs a part that is a loop. Raise KeyError for any other."""
    module = {part: module for module, parts in MODULES.items() for part in parts}[part]
    loop: Loop = import_module(module).LOOPS[part]
    return loop


def services(shared: Shared, parts: Collection[str]) -> list[InThread]:
    """Return those of ``parts`` that are loops, as services of the worker.

    Not of Faust's app: that starts its services when its consumer has joined its group, which takes
    a while after another worker was killed, and the data plane need not wait for it.
    """
    found = {part: loop_of(part) for part in _loops(shared, parts)}
    if "deliver" in parts:
        found |= import_module("streams.ads").deliveries(shared)
    return [InThread(name, partial(loop, shared)) for name, loop in found.items()]


def needs(shared: Shared, parts: Collection[str]) -> set[str]:
    """Return what those of ``parts`` need that the policy gives something to do."""
    idle = set() if shared.policy is not None else OF_A_POLICY
    running = {*_loops(shared, parts), *({"deliver", "agents"} & {*parts} - idle)}
    return {need for part in running for need in NEEDS.get(part, ())}


def _loops(shared: Shared, parts: Collection[str]) -> Iterator[str]:
    for module in _used(shared):
        yield from (part for part in MODULES[module] if part in parts)


def _used(shared: Shared) -> Iterator[str]:
    """Yield the modules that the policy gives something to do."""
    yield _STATISTICS
    policy = shared.policy
    if policy is None:
        return
    yield "streams.ads"
    if policy.services:
        yield from ("streams.cases", "streams.deletion")
    if policy.profiles is not None:
        yield "streams.profiles"
    if policy.rights is not None:
        yield "streams.rights"
