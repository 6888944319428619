"""How a SQLite file of ours is made and opened: private, durable, and deleted bytes overwritten."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

BUSY_SECONDS = 5  # how long another connection may keep the file to itself
READERS_SECONDS = 1  # for those who read old pages to end; those who write wait meanwhile


def make_private(file: Path) -> None:
    """Create the file for its owner alone; SQLite's other files take over its mode.

    One that is there is not opened: closing it would drop the locks of whoever has it open in this
    process (sqlite.org/howtocorrupt.html, 2.2), and others take the log away from under them.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def remove(file: Path) -> None:
    """Remove a database that nobody has open, with whatever SQLite has put beside it."""
    for each in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + each).unlink(missing_ok=True)


def set_up(connection: sqlite3.Connection, _: object) -> None:
    """Set a new connection up; to be called on SQLAlchemy's event ``connect``."""
    connection.isolation_level = None  # transactions begin where we say, not at the first write
    connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA foreign_keys=ON")
    until = time.monotonic() + BUSY_SECONDS
    while True:
        # Two that create the file at once may both be refused here, whatever the busy timeout.
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def truncate(connection: sqlite3.Connection) -> bool:
    """Empty the write-ahead log into the file, outside of a transaction.

    With ``secure_delete`` no deleted byte is then left in either. False: a reader was in the way.
    """
    connection.execute(f"PRAGMA busy_timeout={READERS_SECONDS * 1000}")
    try:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    return not busy
