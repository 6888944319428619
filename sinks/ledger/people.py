"""A person's rights against submissions that are read at the same moment (S20, S21).

A case that begins while a restriction or an erasure of its subject is being written would be seen
by neither. In SQLite one writes at a time; in PostgreSQL those who begin cases share a lock that
those who restrict or erase have alone.
"""

from sqlalchemy import Connection, func, select

_LOCK = 0x6C65746871  # any number, the same in every process, and not that of migrations


def share(connection: Connection) -> None:
    """Have ``stand_alone`` wait for the end of this transaction: it begins cases."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))


def stand_alone(connection: Connection) -> None:
    """Wait for the end of all that has called ``share``, and hold up new ones: see all cases."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
