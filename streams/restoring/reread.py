"""The topics that the ledger is made of, read again from where a backup had come to.

By the lanes that read them the first time: what they handled before changes nothing, and what they
send again has the same ids.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from sinks.ledger import inbox, outbox
from sinks.places import Place, Places
from streams import ads, cases, deletion, rights
from streams.restoring.archive import BackupError
from streams.shared import Shared

To = dict[Place, tuple[int, int]]
"""By partition, the first offset to read and the one where it ended."""

IN_LEDGER = ("consent", "cases", "requests", "receipts", "profiles")
"""Readers that have their place in the ledger."""

# Profiles are only added to, by consents that are known then: their lane does that when it runs.
_LOOPS: Mapping[str, Callable[[Shared, threading.Event], None]] = {
    "consent": ads.consent,
    "cases": cases.run_cases,
    "requests": rights.take_in,
    "receipts": deletion.receipts,
}
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 120.0  # without anything read, until it is given up


def reread(shared: Shared, places: Places, since: Mapping[str, To]) -> dict[str, int]:
    """Move the groups back and read up to where the topics ended; return messages by topic.

    Raise BackupError when nothing comes any more, KafkaException, and what a lane raises.
    """
    prefix = shared.settings.kafka.prefix
    for reader, to in since.items():
        places.move(prefix + reader, {place: first for place, (first, _) in to.items()})
    wanted = {name: to for name, to in since.items() if name in _LOOPS and _used(shared, name)}
    stop = threading.Event()
    with ThreadPoolExecutor(len(_LOOPS), thread_name_prefix="reread") as pool:
        running = [pool.submit(_LOOPS[name], shared, stop) for name in wanted]
        try:
            _await(shared, wanted, running)
        finally:
            stop.set()
        wait(running, return_when=FIRST_EXCEPTION)
        for each in running:
            each.result()
    counts: dict[str, int] = {}
    for to in since.values():
        for (topic, _), (first, end) in to.items():
            name = topic.removeprefix(prefix)
            counts[name] = counts.get(name, 0) + end - first
    return {name: many for name, many in counts.items() if many}


def _await(shared: Shared, wanted: Mapping[str, To], running: list["Future[None]"]) -> None:
    left, at = _left(shared, wanted), time.monotonic()
    while left:
        if any(each.done() for each in running):
            return  # what it raised is raised then
        time.sleep(LOOK_SECONDS)
        now_left = _left(shared, wanted)
        if now_left < left:
            left, at = now_left, time.monotonic()
        elif time.monotonic() - at > PATIENCE_SECONDS:
            raise BackupError(f"{left} messages are not read; see what the log says of it")


def _left(shared: Shared, wanted: Mapping[str, To]) -> int:
    """Return how many messages are not handled, or handled and what came of them not sent."""
    with shared.ledger.reading() as connection:
        come_to = inbox.come_to(connection)
        unsent = sum(outbox.waiting(connection, reader) for reader in wanted)
    behind = sum(
        max(0, end - 1 - max(come_to.get(reader, {}).get(place, -1), first - 1))
        for reader, to in wanted.items()
        for place, (first, end) in to.items()
        if end > first
    )
    return behind + unsent


def _used(shared: Shared, name: str) -> bool:
    policy = shared.known_policy
    return {
        "cases": bool(policy.services),
        "receipts": bool(policy.holders),
        "requests": policy.rights is not None,
    }.get(name, True)
