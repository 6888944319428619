"""The journal of erasures: what a ledger that is restored from a backup must not bring back.

It lies outside the ledger, so that it outlives it. Whatever erases notes that on the connection it
does so with, and ``Ledger.transaction`` has the notes on the disk before it commits: what counts as
erased is in the journal. An erasure whose commit then fails is noted and not done; it is tried
again, and the other way round somebody would come back.

Notes name ids and keyed hashes, of nobody in particular: a cookie id comes in as its hash.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from sinks.disk import sync

IDENTITY: Final = "journal.json"
_NOTES: Final = "erasures"
_PATTERN: Final = "????-??-??.jsonl"

Note = Mapping[str, Any]
"""One note: its ``kind``, when it was written (``at``, milliseconds since 1970), and ids."""


class JournalError(RuntimeError):
    """Raised when a journal cannot be read, or is none. Names the file, and nothing it holds."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which journal it is, and since when it is complete (milliseconds since 1970)."""

    id: str
    since: int


def note(connection: Connection, kind: str, **content: Any) -> None:
    """Note an erasure on the connection that does it; see the module."""
    connection.info.setdefault(_NOTES, []).append({"kind": kind, **content})


def begun(connection: Connection) -> list[dict[str, Any]]:
    """Return the notes of the transaction under way."""
    notes: list[dict[str, Any]] = connection.info.setdefault(_NOTES, [])
    return notes


def of_visitor(site: str, visitor: str) -> str:
    """Return what stands for a visitor in a note: who has the cookie id finds them by it."""
    return sha256(f"{site}|{visitor}".encode()).hexdigest()


class Journal:
    """A folder with a file of notes for each day (UTC). Several processes may write to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, notes: Sequence[Mapping[str, Any]]) -> Identity:
        """Add notes, and return when they are on the disk. Raise OSError."""
        at = time.time_ns() // 1_000_000
        identity = self.identity() or self._begin(at)
        day = datetime.fromtimestamp(at / 1000, UTC).date()
        lines = "".join(f"{json.dumps({**each, 'at': at})}\n" for each in notes)
        file = self.folder / f"{day.isoformat()}.jsonl"
        fresh = not file.exists()
        # A line that a full disk cut off ends before ours begins.
        _append(file, f"\n{lines}".encode())
        if fresh:
            sync(self.folder)
        return identity

    def identity(self) -> Identity | None:
        """Return which journal it is; None: nothing was ever noted. Raise JournalError."""
        file = self.folder / IDENTITY
        try:
            content = json.loads(file.read_text())
            return Identity(str(content["id"]), int(content["since"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise JournalError(f"{file}: is no journal of erasures") from None

    def notes(self, since: int) -> Iterator[Note]:
        """Yield the notes written at ``since`` (milliseconds since 1970) or later, in order.

        A line that is cut off is left out: what it was of was not committed. Raise OSError.
        """
        first = datetime.fromtimestamp(since / 1000, UTC).date().isoformat()
        for file in sorted(self.folder.glob(_PATTERN)):
            if file.stem < first:
                continue
            with file.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    found = _read(line)
                    if found is not None and found["at"] >= since:
                        yield found

    def forget(self, days: int) -> int:
        """Delete what is older than ``days``, and return how many files that was.

        The journal is complete since then, and no backup from before can be restored.
        """
        identity = self.identity()
        if identity is None:
            return 0
        first = datetime.now(UTC).date() - timedelta(days=days)
        old = [each for each in self.folder.glob(_PATTERN) if each.stem < first.isoformat()]
        if old:
            midnight = datetime(first.year, first.month, first.day, tzinfo=UTC)
            since = max(identity.since, int(midnight.timestamp() * 1000))
            self._identify(Identity(identity.id, since))
        for each in old:
            each.unlink(missing_ok=True)
        return len(old)

    def _begin(self, at: int) -> Identity:
        """Make the folder and say which journal it is. Of two that do so at once one prevails."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._identify(Identity(os.urandom(8).hex(), at), replace=False)
        found = self.identity()
        if found is None:
            raise JournalError(f"{self.folder}: cannot be made")
        return found

    def _identify(self, identity: Identity, *, replace: bool = True) -> None:
        file = self.folder / IDENTITY
        part = self.folder / f".{IDENTITY}.{os.getpid()}.{os.urandom(4).hex()}"
        _append(part, json.dumps({"id": identity.id, "since": identity.since}).encode())
        try:
            if replace:
                part.replace(file)
            else:
                os.link(part, file)
        except FileExistsError:
            pass
        finally:
            part.unlink(missing_ok=True)
        sync(self.folder)


def _append(file: Path, content: bytes) -> None:
    handle = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        if os.write(handle, content) != len(content):
            raise OSError("the disk is full")
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(line: str) -> Note | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    fits = isinstance(found, dict) and isinstance(found.get("at"), int) and "kind" in found
    return found if fits else None
