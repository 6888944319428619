"""How a SQLite file of ours is made and opened: private, durable, and deleted bytes overwritten."""

import os
import sqlite3
import time
from pathlib import Path

BUSY_SECONDS = 5  # how long another connection may keep the file to itself
READERS_SECONDS = 1  # for those who read old pages to end; those who write wait meanwhile


def make_private(file: Path) -> None:
    """Create the file for its owner alone; SQLite's other files take over its mode."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


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
