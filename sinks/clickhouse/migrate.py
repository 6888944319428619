"""Numbered migrations, forward only, each applied once and never edited afterwards."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Final

from sinks.clickhouse.client import ClickHouseError, Client

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


class MigrationError(ValueError):
    """Raised when the files, or what was applied before, leave no safe way forward."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file, its placeholders still in it."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return sha256(self.text.encode()).hexdigest()

    @property
    def about(self) -> str:
        """The comment at the head: what it does, what it blocks, what cannot be undone."""
        head = self.text.partition("\n\n")[0]
        return "\n".join(line.removeprefix("--").strip() for line in head.splitlines())


def read(folder: Path = FOLDER) -> list[Migration]:
    """Return the migrations in order. Raise MigrationError for a gap, a duplicate, a bad name."""
    migrations = []
    for file in sorted(folder.iterdir()):
        if not (match := re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", file.name)):
            raise MigrationError(f"{file.name}: must be called like 0001_facts.sql")
        migrations.append(Migration(int(match[1]), match[2], file.read_text()))
    numbers = [migration.number for migration in migrations]
    if numbers != list(range(1, len(numbers) + 1)):
        raise MigrationError(f"numbers must be 1, 2, 3 without gap or duplicate; found {numbers}")
    return migrations


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
        self._migrations = read() if migrations is None else migrations

    def state(self) -> list[tuple[Migration, datetime | None]]:
        """Return every migration and when it was applied, None if it was not.

        Raise MigrationError when one was edited after it was applied, or when the database has
        one that is not here: it belongs to a newer release.
        """
        applied = self._applied()
        if unknown := applied.keys() - {migration.number for migration in self._migrations}:
            raise MigrationError(
                f"{min(unknown):04}: is applied, but this release has no such file"
            )
        for migration in self._migrations:
            done = applied.get(migration.number)
            if done and done[0] != migration.checksum:
                raise MigrationError(
                    f"{migration.number:04}_{migration.name}: was edited after it was applied; "
                    "put it back and write a new one"
                )
        return [
            (migration, applied[migration.number][1] if migration.number in applied else None)
            for migration in self._migrations
        ]

    def pending(self) -> list[Migration]:
        """Return what ``apply`` would apply."""
        return [migration for migration, applied_at in self.state() if applied_at is None]

    def statements(self, migration: Migration) -> list[str]:
        """Return a migration's statements as ClickHouse will get them."""
        text = self._filled(re.sub(r"^\s*--.*\n", "", migration.text, flags=re.MULTILINE))
        parts = (part.strip() for part in re.split(r";\s*(?:\n|$)", text))
        return [part for part in parts if part]

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
