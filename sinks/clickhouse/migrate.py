"""ClickHouse's migrations: tables and views, a statement at a time."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Final

from sinks.clickhouse.client import ClickHouseError, Client
from sinks.migrations import Migration, pending, read

FOLDER: Final = Path(__file__).parent / "migrations"

UNKNOWN_TABLE: Final = 60
UNKNOWN_DATABASE: Final = 81

_HISTORY: Final = """\
CREATE TABLE IF NOT EXISTS $database.migrations
(
    number UInt32,
    name String,
    checksum FixedString(64),
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY number
COMMENT 'What was applied, with the SHA-256 of the file.'"""


class Migrations:
    """The migrations of one database. ``client`` is ``admin``; the database need not exist yet.

    ``facts_hours`` is how long facts are kept. ``replicated`` makes every table a Replicated one;
    the database is then created beforehand, with the engine Replicated, on each node.
    """

    def __init__(
        self,
        client: Client,
        *,
        facts_hours: int,
        replicated: bool = False,
        migrations: Sequence[Migration] | None = None,
    ) -> None:
        self._client = client
        self._facts_hours = facts_hours
        self._replicated = replicated
        self._migrations = read(FOLDER) if migrations is None else migrations

    def state(self) -> list[tuple[Migration, datetime | None]]:
        """Return every migration and when it was applied, None if it was not.

        Raise MigrationError when one was edited after it was applied, or when the database has
        one that is not here: it belongs to a newer release.
        """
        applied = self._applied()
        pending(self._migrations, {number: each for number, (each, _) in applied.items()})
        return [
            (migration, applied[migration.number][1] if migration.number in applied else None)
            for migration in self._migrations
        ]

    def pending(self) -> list[Migration]:
        """Return what ``apply`` would apply. Raise MigrationError as ``state``."""
        return [migration for migration, applied_at in self.state() if applied_at is None]

    def statements(self, migration: Migration) -> list[str]:
        """Return a migration's statements as ClickHouse will get them."""
        return [self._filled(each) for each in migration.statements]

    def apply(self) -> Iterator[Migration]:
        """Apply what is pending, and yield each when it is done.

        ClickHouse has no transactions for this: a migration that breaks off in the middle is
        begun again, so that its statements must bear being run twice.
        """
        self._client.create_database()
        self._client.execute(self._filled(_HISTORY))
        for migration in self.pending():
            for statement in self.statements(migration):
                self._client.execute(statement)
            self._client.insert_rows(
                "migrations",
                ["number", "name", "checksum"],
                [(migration.number, migration.name, migration.checksum)],
                token=f"migration:{migration.number}",
            )
            yield migration
        self._keep_facts()

    def _applied(self) -> dict[int, tuple[str, datetime]]:
        try:
            rows = self._client.query("SELECT number, checksum, applied_at FROM migrations FINAL")
        except ClickHouseError as error:
            if error.code in {UNKNOWN_TABLE, UNKNOWN_DATABASE}:
                return {}
            raise
        return {number: (checksum, applied_at) for number, checksum, applied_at in rows}

    def _keep_facts(self) -> None:
        """Let the facts' TTL follow the setting, which may change after the migration."""
        ttl = f"loaded_at + toIntervalHour({self._facts_hours})"
        if self._client.query(
            "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'facts'"
            " AND position(create_table_query, %(ttl)s) = 0",
            {"ttl": ttl},
        ):
            self._client.execute(f"ALTER TABLE facts MODIFY TTL {ttl}")

    def _filled(self, text: str) -> str:
        return Template(text).substitute(
            database=self._client.database,
            facts_hours=self._facts_hours,
            replicated="Replicated" if self._replicated else "",
        )
