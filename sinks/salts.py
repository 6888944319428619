"""The key store of the daily visitor hash: one salt a day (UTC), shared by all entrances.

A day's salt is destroyed two hours after the day has ended: its row, the page it was on and the
write-ahead log. From then on nobody can tell whose hash was whose. It is in no topic, and the
store must be in no backup.
"""

import secrets
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from sqlalchemy import (
    URL,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    event,
    make_url,
    select,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from privacy.durations import DAY_MS
from privacy.pseudonym import Salt
from sinks import sqlite
from sinks.scrub import scrub

GRACE_MS = 2 * 3_600_000  # for an entrance whose clock is behind, and events on their way

_SALTS = Table(
    "visitor_salts",
    MetaData(),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
)

_CREATE = CreateTable(_SALTS, if_not_exists=True)


class SaltsUnavailableError(RuntimeError):
    """Raised when there is no salt to be had: then nothing may enter."""


class Salts:
    """Daily salts in an SQL store. Safe to share between threads and processes.

    ``url`` is SQLAlchemy's. Times are milliseconds since 1970 and come from the caller.
    """

    def __init__(self, url: str | URL) -> None:
        location = make_url(url)
        embedded = location.get_backend_name() == "sqlite"
        if embedded and location.database:
            sqlite.make_private(Path(location.database))
        self._engine = create_engine(location, hide_parameters=True)
        if embedded:
            event.listen(self._engine, "connect", sqlite.set_up)
        self._cached: tuple[int, Salt] | None = None
        self._lock = threading.Lock()

    @classmethod
    def under(cls, data_dir: Path) -> Self:
        """Return the embedded store of a data folder, ``keys/salts.db``."""
        return cls(URL.create("sqlite", database=str(data_dir / "keys" / "salts.db")))

    def cached(self, now: int) -> Salt | None:
        """Return the day's salt if this process has it already. Does not block."""
        cached = self._cached
        return cached[1] if cached and cached[0] == now // DAY_MS else None

    def current(self, now: int) -> Salt:
        """Return the salt of the UTC day of ``now``; whoever asks first makes it.

        Raises SaltsUnavailableError when the store cannot be read.
        """
        if salt := self.cached(now):
            return salt
        day = now // DAY_MS
        with self._lock:
            try:
                salt = self._read(day) or self._make(day)
            except SQLAlchemyError as error:
                raise SaltsUnavailableError(type(error).__name__) from None
            if salt is None:
                raise SaltsUnavailableError("another process destroyed it at once")
            self._cached = day, salt
        self.destroy_old(now)
        return salt

    def kept(self) -> list[tuple[int, Salt]]:
        """Return the salts that exist, by their day (days since 1970): who was whose can be told.

        Raises SaltsUnavailableError when the store cannot be read.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(_CREATE)
                rows = connection.execute(select(_SALTS)).all()
        except SQLAlchemyError as error:
            raise SaltsUnavailableError(type(error).__name__) from None
        return [(row.day, Salt(bytes(row.salt))) for row in rows]

    def destroy_old(self, now: int) -> bool:
        """Destroy the salts of days that ended more than the grace ago; tell whether they are gone.

        False when someone was reading the store at that moment, or it is not there: call again.
        Entrances and the worker call it every minute.
        """
        oldest = (now - GRACE_MS) // DAY_MS
        with self._lock:
            if self._cached and self._cached[0] < oldest:
                self._cached = None
            try:
                with self._engine.begin() as connection:
                    connection.execute(_CREATE)
                    connection.execute(_SALTS.delete().where(_SALTS.c.day < oldest))
                # PostgreSQL's own write-ahead log keeps salts until it is recycled: archive none.
                return scrub(self._engine, f"FULL {_SALTS.name}")
            except (SQLAlchemyError, sqlite3.Error):
                return False

    def close(self) -> None:
        """Let go of the store and forget what was cached."""
        self._cached = None
        self._engine.dispose()

    def _read(self, day: int) -> Salt | None:
        with self._engine.begin() as connection:
            connection.execute(_CREATE)
            salt = connection.scalar(select(_SALTS.c.salt).where(_SALTS.c.day == day))
        return None if salt is None else Salt(bytes(salt))

    def _make(self, day: int) -> Salt | None:
        # Another entrance may come first: then its salt is the day's.
        with suppress(IntegrityError), self._engine.begin() as connection:
            connection.execute(_SALTS.insert().values(day=day, salt=secrets.token_bytes(32)))
        return self._read(day)
