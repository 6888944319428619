"""When a withdrawal is effective: from then on no request begins that its visitor's consent bore.

It is recorded when the broker has it. It is effective when each dispatcher of its partition has
passed it, as each says when it takes a lease, or can send no more: its process is gone, or its
lease is over and this watchdog has killed it. A lease that is over is not enough: a process that
was stopped between its last look at the clock and the first byte would send when it wakes.

A process can be killed only from its own host, so that every host with a dispatcher runs this.
"""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from schemas.registry import topics
from sinks.consent_barrier import CHANGES
from sinks.ledger import dispatchers, reached, withdrawals
from sinks.ledger.dispatchers import Here, Lease, Process
from sinks.ledger.ledger import Ledger
from sinks.ledger.withdrawals import Withdrawal
from streams.delivery.http import ANSWER_SECONDS

KILL_SECONDS = 2.0  # to end a process that stands in the way

_log = structlog.get_logger()


def promised_ms(lease_seconds: float) -> int:
    """Return how long a withdrawal takes at most to be effective: lease, answer, and kill."""
    return int((lease_seconds + ANSWER_SECONDS + KILL_SECONDS) * 1000)


def settle(
    ledger: Ledger,
    here: Here,
    now: Callable[[], int],
    kill: Callable[[Process], None],
    late_ms: int,
    *,
    tell: Callable[[int], None],
) -> Sequence[Withdrawal]:
    """Let withdrawals be effective that are, and return them. To be called again and again.

    What was sent by the consents they ended falls due to be removed, not sooner.
    ``now`` gives milliseconds since 1970; ``kill`` ends a process of this host. ``tell`` hears
    of each partition, again and again, with a withdrawal that takes longer than ``late_ms``.
    """
    effective: list[Withdrawal] = []
    for partition in range(topics()[CHANGES].partitions):
        with ledger.reading() as connection:
            waiting = withdrawals.unsettled(connection, partition)
            leases = dispatchers.held(connection, partition)
        if not waiting:
            continue
        for lease in leases:
            _end(ledger, lease, waiting, here, kill)
        with ledger.reading() as connection:
            passed = [lease.passed for lease in dispatchers.held(connection, partition)]
        last = min([*passed, waiting[-1].offset + 1]) - 1
        if last >= waiting[0].offset:
            with ledger.transaction() as connection:
                at = now()
                settled = withdrawals.settle(connection, partition, last, at)
                reached.fall_due(connection, settled, at)
            effective += settled
        if now() - waiting[0].recorded_at > late_ms and last < waiting[0].offset:
            tell(partition)
    return effective


def bury(ledger: Ledger, here: Here) -> None:
    """Drop the leases of processes of this host that are gone, for their successors' sake."""
    for partition in range(topics()[CHANGES].partitions):
        with ledger.reading() as connection:
            leases = dispatchers.held(connection, partition)
        for lease in leases:
            if lease.process.host == here.host and not alive(lease.process, here):
                _drop(ledger, lease)


def _end(
    ledger: Ledger,
    lease: Lease,
    waiting: Sequence[Withdrawal],
    here: Here,
    kill: Callable[[Process], None],
) -> None:
    """Drop a lease whose process is gone; kill one that is late and stands in the way."""
    if lease.process.host != here.host:
        return
    if alive(lease.process, here):
        if lease.passed > waiting[0].offset or lease.lease_until > here.boottime:
            return
        _log.error("dispatcher_killed", provider=lease.provider, partition=lease.partition)
        kill(lease.process)
    _drop(ledger, lease)


def _drop(ledger: Ledger, lease: Lease) -> None:
    with ledger.passing() as connection:
        dispatchers.drop(connection, lease.provider, lease.partition, lease.process.id)


def alive(process: Process, here: Here) -> bool:
    """Tell whether a process of this host still runs, or sleeps; a zombie does neither."""
    if process.boot_id != here.boot_id:
        return False
    state, started = _stat(process.pid)
    return state not in {"", "Z", "X"} and started == process.started


def kill(process: Process) -> None:
    """End a process at once, and return when it is gone."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if _stat(process.pid)[1] == process.started:  # and not another with its number
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            while _stat(process.pid)[0] not in {"", "Z", "X"}:
                os.sched_yield()
    finally:
        os.close(handle)


def this_process(name: str) -> Process:
    """Return what tells this process from all others; ``name`` tells its dispatchers apart."""
    here = dispatchers.here()
    pid = os.getpid()
    started = _stat(pid)[1]
    return Process(f"{name}/{here.host}/{pid}/{started}", here.host, here.boot_id, pid, started)


def _stat(pid: int) -> tuple[str, int]:
    """Return a process's state and when it started, in ticks since the boot; "" when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])
