"""One moment of a ledger as one SQLite file, whatever database it is in, and back again.

SQLite's own backup takes the pages as they are. PostgreSQL's tables are read in one transaction
that sees one moment: a file of theirs can be restored into either database, and by any release that
still knows its migrations, which a dump of the server's could not.
"""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from sinks import sqlite
from sinks.disk import sync
from sinks.ledger import inbox
from sinks.ledger.ledger import RESTORING, Ledger, LedgerFaultError
from sinks.ledger.tables import METADATA

_AT_ONCE = 1_000  # rows in a statement


def take(ledger: Ledger, file: Path) -> None:
    """Write what the ledger holds at this moment to a new ``file``, while others go on.

    Raise LedgerError and OSError; LedgerFaultError when the copy is damaged.
    """
    sqlite.make_private(file)
    with ledger.reading() as connection:
        if connection.dialect.name == "sqlite":
            raw: Any = connection.connection.driver_connection  # one of ``sqlite3``
            _copy_pages(raw, file)
            return
        copy = Ledger.open(f"sqlite:///{file}")
        try:
            with copy.transaction() as target:
                _copy_rows(connection, target)
            copy.checkpoint()
        finally:
            copy.close()
    _one_file(file)


def put(file: Path, ledger: Ledger) -> None:
    """Have a PostgreSQL ledger hold what ``file`` does, marked as not finished.

    All at once, or nothing. Raise LedgerFaultError when it holds something already.
    """
    source = Ledger.open(f"sqlite:///{file}", restoring=True)
    try:
        with source.reading() as rows, ledger.transaction() as connection:
            _require_free(connection)
            for table in METADATA.sorted_tables:
                connection.execute(delete(table))
            _copy_rows(rows, connection)
            inbox.mark(connection, RESTORING, "ledger", 0)
    finally:
        source.close()


def put_file(file: Path, target: Path) -> None:
    """Have ``file`` be the SQLite ledger at ``target``, marked as not finished.

    All at once, or nothing. Raise LedgerFaultError when there is a ledger already.
    """
    if target.exists() and target.stat().st_size:
        there = Ledger.open(f"sqlite:///{target}", restoring=True)
        try:
            with there.reading() as connection:
                _require_free(connection)
        finally:
            there.close()
    source = Ledger.open(f"sqlite:///{file}", restoring=True)
    try:
        with source.transaction() as connection:
            inbox.mark(connection, RESTORING, "ledger", 0)
        source.checkpoint()
    finally:
        source.close()
    _one_file(file)
    for each in ("-wal", "-shm"):  # of the one it replaces
        target.with_name(target.name + each).unlink(missing_ok=True)
    file.replace(target)
    sync(target.parent)


def _require_free(connection: Connection) -> None:
    if inbox.is_marked(connection, RESTORING):
        return
    counts = [select(func.count()).select_from(each) for each in METADATA.sorted_tables]
    if any(connection.scalar(each) for each in counts):
        raise LedgerFaultError("there is one already; move it away first")


def _copy_pages(source: sqlite3.Connection, file: Path) -> None:
    target = sqlite3.connect(file)
    try:
        source.backup(target)
        if target.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise LedgerFaultError("the copy is damaged")
    finally:
        target.close()
    _one_file(file)


def _copy_rows(source: Connection, target: Connection) -> None:
    for table in METADATA.sorted_tables:
        rows = source.execution_options(yield_per=_AT_ONCE).execute(select(table)).mappings()
        for some in rows.partitions(_AT_ONCE):
            target.execute(insert(table), [dict(each) for each in some])


def _one_file(file: Path) -> None:
    """Have all of a database in its file, on the disk."""
    connection = sqlite3.connect(file)
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()
    sync(file)
