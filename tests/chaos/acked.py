"""What was tried and what was acknowledged: the rig's own ledger, which no process of Lethe sees.

An append-only file of JSON lines. What is to be sent is written before, and what was acknowledged
is on disk before anything else is done: whatever happens then, this file knows what is owed.
"""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

Item = Mapping[str, Any]


class Kind(StrEnum):
    """What is sent; ``Item`` has the fields named here."""

    EVENT = "event"  # event_id, visitor, epoch, occurred_at, page, trait
    CONSENT = "consent"  # change_id, visitor, purpose, decision; when acknowledged, epoch
    FORM = "form"  # case_id once it is acknowledged, email, wrapped
    ENDED = "ended"  # event_id, case_id
    POISON = "poison"  # place: topic, partition and offset, once it is acknowledged


class Line(NamedTuple):
    """What was tried, or acknowledged, at a time in milliseconds since 1970."""

    at: int
    kind: Kind
    acked: bool
    items: Sequence[Item]


class Acked:
    """The file, for writing. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._lock = threading.Lock()

    def tried(self, kind: Kind, items: Sequence[Item]) -> None:
        """Note what is about to be sent: it may be stored, whatever the answer."""
        self._write(kind, items, acked=False)

    def acked(self, kind: Kind, items: Sequence[Item]) -> None:
        """Note what was acknowledged; it is on disk when this returns."""
        self._write(kind, items, acked=True)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, kind: Kind, items: Sequence[Item], *, acked: bool) -> None:
        with self._lock:
            line = Line(time.time_ns() // 1_000_000, kind, acked, items)
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            if acked:
                os.fsync(self._file.fileno())


def lines(path: Path) -> Iterator[Line]:
    """Read the file."""
    with path.open() as file:
        for text in file:
            at, kind, acked, items = json.loads(text)
            yield Line(at, Kind(kind), acked, items)
