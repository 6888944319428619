"""What a fault is, and those of processes: kills, pauses, restarts, a storm of rebalances."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random

from lethe.local.process import Process, listening
from tests.chaos.stack import LEASE_SECONDS, SESSION_SECONDS, WORKERS, Stack, wait


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    ``inject`` breaks it, waits until traffic has met it (``Stack.meet``), heals it, and returns a
    note for the table, empty if there is nothing to say. It need not wait until all has recovered:
    the next fault may come before. ``needs`` are the names of what the ground has to offer. ``ci``
    and ``nightly`` are how often it is injected under either plan. ``alongside``: it takes its
    time, and what comes next does not wait for it.
    """

    name: str
    inject: Callable[[Stack, Random], str]
    needs: frozenset[str] = frozenset()
    ci: int = 1
    nightly: int = 10
    alongside: bool = False


def kill(process: Process) -> None:
    """Kill a process by SIGKILL, and wait until it is started again."""
    wait(process.alive, f"{process.name} to be alive")
    killed = process.pid
    with suppress(ProcessLookupError):
        os.kill(killed, signal.SIGKILL)
    wait(
        lambda: process.pid != killed and process.alive(),
        f"{process.name} to be restarted",
    )


@contextmanager
def paused(process: Process) -> Iterator[None]:
    """Stop a process by SIGSTOP; its watchdog may kill it meanwhile."""
    pid = process.pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def kill_any(stack: Stack, random: Random) -> str:
    """Kill one of the company's processes."""
    kill(random.choice(stack.processes))
    stack.flow()
    return ""


def kill_broker(stack: Stack, random: Random) -> str:
    """Kill a broker."""
    kill(random.choice(stack.brokers))
    stack.flow()
    return ""


def stop_broker(stack: Stack, random: Random) -> str:
    """Have a broker end in an orderly way; it is started again."""
    _stop(random.choice(stack.brokers))
    stack.flow()
    return ""


def stop_clickhouse(stack: Stack, _: Random) -> str:
    """Have ClickHouse end in an orderly way, inserts or not; it is started again."""
    _stop(stack.clickhouse)
    await_clickhouse(stack)
    stack.flow()
    return ""


def await_clickhouse(stack: Stack) -> None:
    """Wait until ClickHouse, which was started again, listens."""
    wait(lambda: all(map(listening, stack.clickhouse.ports)), "ClickHouse to be back")


def _stop(process: Process) -> None:
    before = process.restarts
    process.stop()
    wait(lambda: process.restarts > before, f"{process.name} to be restarted")


def kill_clickhouse(stack: Stack, random: Random) -> str:
    """Kill ClickHouse in the middle of an insert, or a moment later."""
    inserts = "SELECT 1 FROM system.processes WHERE query_kind = 'Insert'"
    with stack.house() as house:
        wait(lambda: house.query(inserts), "an insert", pause=0.0)
    time.sleep(random.choice([0, random.uniform(0, 0.02)]))
    kill(stack.clickhouse)
    await_clickhouse(stack)
    stack.flow()
    return ""


def pause(seconds: float) -> Callable[[Stack, Random], str]:
    """Return what stops a worker for so long."""

    def inject(stack: Stack, random: Random) -> str:
        with paused(random.choice(stack.workers)):
            time.sleep(seconds)
        stack.flow()
        return ""

    return inject


def storm(seconds: float) -> Callable[[Stack, Random], str]:
    """Return what has workers join and leave the groups of all readers for so long."""

    def inject(stack: Stack, random: Random) -> str:
        deadline, rounds = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            name = random.choice(list(WORKERS))
            guest = stack.worker(name)
            guest.name, guest.log = f"guest-{name}", guest.log.with_name(f"guest-{name}.log")
            guest.spawn()
            time.sleep(random.uniform(3, 6))
            guest.stop()
            rounds += 1
        return f"{rounds} workers joined and left"

    return inject


FAULTS: Sequence[Fault] = (
    Fault("process killed", kill_any, ci=12, nightly=300),
    Fault("broker killed", kill_broker, ci=2, nightly=20),
    Fault("broker stopped", stop_broker, ci=1, nightly=10),
    Fault("ClickHouse killed", kill_clickhouse, ci=2, nightly=100),
    Fault("ClickHouse stopped", stop_clickhouse, ci=1, nightly=10),
    Fault("worker paused 0.1 s", pause(0.1), ci=6, nightly=100),
    Fault("worker paused > lease", pause(2 * LEASE_SECONDS), ci=2, nightly=50, alongside=True),
    Fault("worker paused > session", pause(SESSION_SECONDS + 2), ci=1, nightly=50, alongside=True),
    Fault("rebalance storm of 30 s", storm(30), ci=1, nightly=30, alongside=True),
)
