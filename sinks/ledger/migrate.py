"""The ledger's migrations: numbered SQL files, forward only, all or none of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    insert,
    select,
)
from sqlalchemy.schema import CreateTable

from sinks.migrations import Migration, pending, read

FOLDER: Final = Path(__file__).parent / "migrations"

_LOCK = 0x6C65746865  # any number, the same in every process

# What the two databases spell differently.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "sqlite": {"bytes": "BLOB"},
    "postgresql": {"bytes": "BYTEA"},
}

_HISTORY = Table(
    "migrations",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("applied_at", DateTime, nullable=False, server_default=func.current_timestamp()),
)


def migrate(connection: Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Apply what is pending, in the transaction of ``connection``; others wait for its end.

    Raise MigrationError when one was edited after it was applied, or when the ledger has one that
    is not here: it belongs to a newer release.
    """
    if connection.dialect.name == "postgresql":  # SQLite's transaction for writing is the lock
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    connection.execute(CreateTable(_HISTORY, if_not_exists=True))
    done = dict(connection.execute(select(_HISTORY.c.number, _HISTORY.c.checksum)).all())
    for migration in pending(migrations or read(FOLDER), done):
        _apply(connection, migration)


def _apply(connection: Connection, migration: Migration) -> None:
    for statement in migration.statements:
        filled = Template(statement).substitute(_WORDS[connection.dialect.name])
        connection.exec_driver_sql(filled)
    connection.execute(
        insert(_HISTORY).values(
            number=migration.number, name=migration.name, checksum=migration.checksum
        )
    )
