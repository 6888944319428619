"""Taking deleted rows out of a database's files, and knowing that they are."""

import time
from typing import Any

from sqlalchemy import Connection, Engine, text

from sinks import sqlite

LOOK_SECONDS = 0.01

# As VACUUM has it: what was deleted stays while any of these is older, and it does not say so
# (PostgreSQL, "Routine Vacuuming"). Those of other VACUUMs alone do not count.
_OLDER = text("""
    SELECT EXISTS (
        SELECT FROM (
            SELECT backend_xid FROM pg_stat_activity
            UNION ALL
            SELECT backend_xmin FROM pg_stat_activity
            WHERE (datname = current_database() OR datname IS NULL)
            AND pid <> pg_backend_pid() AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
            UNION ALL
            SELECT transaction FROM pg_prepared_xacts
            UNION ALL
            SELECT xmin FROM pg_replication_slots
        ) AS held (xid)
        WHERE age(xid) > age(CAST(:now AS xid))
    )
""")
_NOW = "SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS xid) AS text)"


def scrub(engine: Engine, vacuum: str) -> bool:
    """Take rows that were deleted before the call out of the files; tell whether that is done.

    False: who began before is still there after ``sqlite.READERS_SECONDS``; call again. ``vacuum``
    says to PostgreSQL how, and which tables. Raise SQLAlchemyError and sqlite3.Error.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "sqlite":
            raw: Any = connection.connection.driver_connection  # one of ``sqlite3``
            return sqlite.truncate(raw)
        if not _alone(connection):
            return False
        connection.exec_driver_sql(f"VACUUM {vacuum}")
        return True


def _alone(connection: Connection) -> bool:
    """Wait a while until all have ended that began before the call; tell whether they have."""
    now = connection.exec_driver_sql(_NOW).scalar_one()
    until = time.monotonic() + sqlite.READERS_SECONDS
    # Twice: the first time others may have begun among the old ones after they were looked at.
    for _ in range(2):
        while connection.execute(_OLDER, {"now": now}).scalar_one():
            if time.monotonic() > until:
                return False
            time.sleep(LOOK_SECONDS)
    return True
