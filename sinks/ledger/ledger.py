"""The ledger's database: opening it, and transactions on it."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from sinks import sqlite
from sinks.ledger import inbox, journal
from sinks.ledger.journal import Journal, JournalError
from sinks.ledger.migrate import migrate
from sinks.scrub import scrub

# What passes, in SQLite; whatever else it says, it says again (sqlite.org/rescode.html).
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
}

# PostgreSQL's options. What the other machine does not acknowledge for half a minute went over a
# dead connection; who waits for an answer on one waits for hours. What a URL says goes first.
_LIVELY = {
    "connect_timeout": 10,  # seconds, as the next two
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,  # ms
}

# Marks among the positions of readers: a ledger that is being restored, the journals that know what
# was erased in it, and when it was last backed up.
RESTORING, JOURNAL, BACKUP = "restoring", "journal", "backup"

# Tables from which keys, sealed contents and what names a visitor are deleted.
_PERSONAL = (
    "case_keys", "cases", "requests", "demands", "demand_answers", "answers", "holds", "deferred",
    "outbox", "consents", "consent_changes", "reached", "visitor_facts",
    "profiles", "profile_cities", "profile_interests", "profile_corrections",
)  # fmt: skip


class LedgerError(RuntimeError):
    """Raised while the ledger cannot be read or written; nothing of the transaction is kept.

    Names the fault's kind only: a database's own words hold values.
    """


class LedgerFaultError(RuntimeError):
    """Raised for what the ledger would refuse again: a bug, or a file that is no ledger.

    Nothing of the transaction is kept. Names the fault's kind only, as ``LedgerError``.
    """


UNUSABLE = (LedgerError, LedgerFaultError)
"""For whoever does not try again by themselves, but tells who asked."""


class Ledger:
    """One relational store. Safe to share between threads; each process opens its own.

    The modules beside this one read and write it, on the connection of a transaction.
    """

    def __init__(self, engine: Engine, erasures: Journal | None = None) -> None:
        self._engine = engine
        self._journal = erasures
        self._writing, self._passing, self._reading = engine, engine, engine
        # SQLite lets those that wait for it in at random: in one process they stand in line.
        self._line: AbstractContextManager[object] = nullcontext()
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", sqlite.set_up)
            event.listen(engine, "begin", _begin)
            self._line = threading.Lock()
            self._writing = engine.execution_options(writes=True)
            self._passing = engine.execution_options(writes=True, durable=False)
        else:
            self._reading = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @classmethod
    def open(
        cls, url: str | URL, erasures: Journal | None = None, *, restoring: bool = False
    ) -> Self:
        """Open the ledger at SQLAlchemy's ``url``, and migrate it.

        ``sqlite:///path`` is made if need be, for its owner alone; ``postgresql+psycopg://…`` must
        exist. Whatever is erased is written to ``erasures`` first. Raise ValueError for any other,
        LedgerError when it cannot be opened now, LedgerFaultError when it is none, or one whose
        restoring was not finished (unless ``restoring``), and MigrationError when it belongs to
        another release.
        """
        location = make_url(url)
        if location.get_backend_name() == "sqlite":
            if not location.database or location.database == ":memory:":
                raise ValueError("ledger: sqlite needs a file, as in sqlite:///ledger.db")
            sqlite.make_private(Path(location.database))
        elif location.get_backend_name() != "postgresql":
            raise ValueError("ledger: must be a URL of sqlite:/// or postgresql+psycopg://")
        engine = create_engine(
            location, hide_parameters=True, pool_pre_ping=True, connect_args=_options(location)
        )
        ledger = cls(engine, erasures)
        with ledger.transaction() as connection:
            migrate(connection)
            unfinished = not restoring and inbox.is_marked(connection, RESTORING)
        if unfinished:
            ledger.close()
            raise LedgerFaultError("its restoring was not finished; run lethe restore again")
        return ledger

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection whose changes are all kept at the end, or none if it raises.

        In SQLite one writes at a time, and the others wait. Raise LedgerError.
        """
        with self._line, _errors_without_values(), self._writing.begin() as connection:
            notes = journal.begun(connection)
            notes.clear()
            yield connection
            if notes and self._journal is not None:
                self._write_down(connection, self._journal, notes)

    @contextmanager
    def passing(self) -> Iterator[Connection]:
        """Give a transaction that may be forgotten when the power fails, and takes a hundredth.

        For what means nothing after that, as leases. Raise LedgerError.
        """
        with self._line, _errors_without_values(), self._passing.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one moment of the ledger, and waits for nobody.

        Raise LedgerError.
        """
        with _errors_without_values(), self._reading.begin() as connection:
            yield connection

    def checkpoint(self) -> bool:
        """Take what was deleted before the call out of the database's files; tell whether it is.

        False: somebody may read what was there before; call again. In PostgreSQL dead rows are
        given up to be overwritten, and its log keeps them until it is recycled. Raise LedgerError.
        """
        with self._line, _errors_without_values():
            return scrub(self._engine, f"(TRUNCATE FALSE) {', '.join(_PERSONAL)}")

    @staticmethod
    def _write_down(
        connection: Connection, erasures: Journal, notes: Sequence[journal.Note]
    ) -> None:
        """Have what is erased in the journal, and the journal known to each later backup."""
        try:
            identity = erasures.write(notes)
        except (OSError, JournalError) as error:
            raise LedgerError(f"journal: {type(error).__name__}") from None
        inbox.mark(connection, JOURNAL, identity.id, identity.since)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


@contextmanager
def isolated(connection: Connection) -> Iterator[None]:
    """Undo, when it raises, what was changed here and nothing else of the transaction.

    Raise LedgerError and LedgerFaultError for what the database says; after the first the whole
    transaction is to be given up.
    """
    notes = journal.begun(connection)
    before = len(notes)
    try:
        with _errors_without_values(), connection.begin_nested():
            yield
    except BaseException:
        del notes[before:]
        raise


@contextmanager
def _errors_without_values() -> Iterator[None]:
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        kind = getattr(cause, "sqlite_errorname", type(cause).__name__)
        raise (LedgerError if _passes(error, cause) else LedgerFaultError)(kind) from None


def _options(location: URL) -> dict[str, int]:
    if location.get_backend_name() == "sqlite":
        return {}
    return {name: value for name, value in _LIVELY.items() if name not in location.query}


def _passes(error: Exception, cause: BaseException) -> bool:
    """Tell an outage from what would fail again."""
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING  # of an extended code
    lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    return lost or isinstance(error, (exc.InterfaceError, exc.OperationalError, exc.TimeoutError))


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    writes, durable = options.get("writes", False), options.get("durable", True)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    # IMMEDIATE: one that reads first and then writes would be refused, whatever the busy timeout.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
