"""Who delivers a partition's events to a provider: one dispatcher at most, within its lease.

Leases run on CLOCK_BOOTTIME, which goes on while a machine sleeps and which nobody sets; it can be
compared within one boot of one kernel only. A lease that is over is not free: its process may have
been stopped just before it sent. It is free when it is dropped, by its dispatcher, or by somebody
who knows that the process is gone (``streams.delivery.settle``).
"""

import socket
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, select, update

from sinks.ledger.tables import dispatchers
from sinks.ledger.upsert import insert


class Here(NamedTuple):
    """The machine one stands on, and its CLOCK_BOOTTIME now in milliseconds.

    No two machines that run at once may share a ``host`` name.
    """

    host: str
    boot_id: str
    boottime: int


class Process(NamedTuple):
    """A dispatcher and the process it lives in. ``started`` tells that from one with its number.

    ``started`` is in the kernel's ticks since the boot.
    """

    id: str
    host: str
    boot_id: str
    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A process may begin to send a provider's events of a partition before ``lease_until``.

    ``lease_until`` is in milliseconds of its CLOCK_BOOTTIME; ``seen_at`` in milliseconds since
    1970, for people. ``passed`` is the next offset of ``consent-changes``: it has applied those
    before, and nothing is on its way that was checked earlier.
    """

    provider: str
    partition: int
    process: Process
    passed: int
    lease_until: int
    seen_at: int


def here() -> Here:
    """Return the machine one stands on."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Here(socket.gethostname(), _boot_id(), time.clock_gettime_ns(clock) // 1_000_000)


def renew(connection: Connection, lease: Lease) -> bool:
    """Take the partition or go on holding it, as ``lease`` says; False when another holds it.

    ``passed`` never goes back under the same dispatcher. Who had let its lease run out must take
    the barrier anew: withdrawals may have become effective without it.
    """
    row = {
        "provider": lease.provider,
        "partition": lease.partition,
        **lease.process._asdict(),
        "passed": lease.passed,
        "lease_until": lease.lease_until,
        "seen_at": lease.seen_at,
    }
    new = insert(connection, dispatchers).values(row).on_conflict_do_nothing()
    if connection.execute(new.returning(dispatchers.c.id)).first() is not None:
        return True
    mine = (*_place(lease.provider, lease.partition), dispatchers.c.id == lease.process.id)
    again = update(dispatchers).where(*mine, dispatchers.c.passed <= lease.passed).values(row)
    if connection.execute(again).rowcount:
        return True
    del row["passed"]
    return bool(connection.execute(update(dispatchers).where(*mine).values(row)).rowcount)


def held(connection: Connection, partition: int) -> list[Lease]:
    """Return the leases of a partition, also those that are over, by provider."""
    query = select(dispatchers).where(dispatchers.c.partition == partition)
    return [
        Lease(
            row.provider,
            row.partition,
            Process(row.id, row.host, row.boot_id, row.pid, row.started),
            row.passed,
            row.lease_until,
            row.seen_at,
        )
        for row in connection.execute(query.order_by(dispatchers.c.provider))
    ]


def drop(connection: Connection, provider: str, partition: int, dispatcher: str) -> None:
    """End a dispatcher's lease. It must have stopped sending: nobody waits for it from now on."""
    connection.execute(
        delete(dispatchers).where(*_place(provider, partition), dispatchers.c.id == dispatcher)
    )


def _place(provider: str, partition: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return dispatchers.c.provider == provider, dispatchers.c.partition == partition


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
