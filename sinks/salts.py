"""The key store of pseudonyms that do not last: one salt a period (UTC), shared by all entrances.

Of the daily visitor hash a period is a day; of the token that stands for an address, half a day
(S8). A salt is destroyed two hours after its period has ended: its row, the page it was on and the
write-ahead log. From then on nobody can tell whose hash was whose. It is in no topic, and the
store must be in no backup.
"""

import secrets
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Kind:
    """What a salt is for: a table of its own, and how long a period is, in milliseconds."""

    table: Table
    period_ms: int

    @property
    def create(self) -> CreateTable:
        """Return what makes the table where it is not there yet."""
        return CreateTable(self.table, if_not_exists=True)


def _kind(table: str, period: str, period_ms: int) -> Kind:
    columns = (
        Column(period, Integer, key="period", primary_key=True, autoincrement=False),
        Column("salt", LargeBinary, nullable=False),
    )
    return Kind(Table(table, MetaData(), *columns), period_ms)


VISITORS = _kind("visitor_salts", "day", DAY_MS)
ADDRESSES = _kind("address_salts", "half_day", DAY_MS // 2)


class SaltsUnavailableError(RuntimeError):
    """Raised when there is no salt to be had: then nothing may enter."""


class Salts:
    """Salts of one kind in an SQL store. Safe to share between threads and processes.

    ``url`` is SQLAlchemy's. Times are milliseconds since 1970 and come from the caller.
    """

    def __init__(self, url: str | URL, kind: Kind = VISITORS) -> None:
        self._kind = kind
        self._salts = kind.table
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
    def under(cls, data_dir: Path, kind: Kind = VISITORS) -> Self:
        """Return the embedded store of a data folder, ``keys/salts.db``."""
        return cls(URL.create("sqlite", database=str(data_dir / "keys" / "salts.db")), kind)

    def cached(self, now: int) -> Salt | None:
        """Return the period's salt if this process has it already. Does not block."""
        cached = self._cached
        return cached[1] if cached and cached[0] == now // self._kind.period_ms else None

    def current(self, now: int) -> Salt:
        """Return the salt of the period of ``now``; whoever asks first makes it.

        Raises SaltsUnavailableError when the store cannot be read.
        """
        if salt := self.cached(now):
            return salt
        period = now // self._kind.period_ms
        with self._lock:
            try:
                salt = self._read(period) or self._make(period)
            except SQLAlchemyError as error:
                raise SaltsUnavailableError(type(error).__name__) from None
            if salt is None:
                raise SaltsUnavailableError("another process destroyed it at once")
            self._cached = period, salt
        self.destroy_old(now)
        return salt

    def kept(self) -> list[tuple[int, Salt]]:
        """Return the salts that exist, by their period (since 1970): who was whose can be told.

        Raises SaltsUnavailableError when the store cannot be read.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(self._kind.create)
                rows = connection.execute(select(self._salts)).all()
        except SQLAlchemyError as error:
            raise SaltsUnavailableError(type(error).__name__) from None
        return [(row.period, Salt(bytes(row.salt))) for row in rows]

    def destroy_old(self, now: int) -> bool:
        """Destroy the salts of periods that ended more than the grace ago; tell if they are gone.

        False when someone was reading the store at that moment, or it is not there: call again.
        Entrances and the worker call it every minute.
        """
        oldest = (now - GRACE_MS) // self._kind.period_ms
        with self._lock:
            if self._cached and self._cached[0] < oldest:
                self._cached = None
            try:
                with self._engine.begin() as connection:
                    connection.execute(self._kind.create)
                    connection.execute(self._salts.delete().where(self._salts.c.period < oldest))
                # PostgreSQL's own write-ahead log keeps salts until it is recycled: archive none.
                return scrub(self._engine, f"FULL {self._salts.name}")
            except (SQLAlchemyError, sqlite3.Error):
                return False

    def close(self) -> None:
        """Let go of the store and forget what was cached."""
        self._cached = None
        self._engine.dispose()

    def _read(self, period: int) -> Salt | None:
        with self._engine.begin() as connection:
            connection.execute(self._kind.create)
            salt = connection.scalar(
                select(self._salts.c.salt).where(self._salts.c.period == period)
            )
        return None if salt is None else Salt(bytes(salt))

    def _make(self, period: int) -> Salt | None:
        # Another entrance may come first: then its salt is the period's.
        with suppress(IntegrityError), self._engine.begin() as connection:
            connection.execute(
                self._salts.insert().values(period=period, salt=secrets.token_bytes(32))
            )
        return self._read(period)
