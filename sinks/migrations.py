"""Numbered migrations, forward only, each applied once and never edited afterwards."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path


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

    @property
    def statements(self) -> list[str]:
        """The statements, each ended by a semicolon at the end of a line, without comments."""
        text = re.sub(r"^\s*--.*\n", "", self.text, flags=re.MULTILINE)
        return [part for each in re.split(r";\s*(?:\n|$)", text) if (part := each.strip())]


def read(folder: Path) -> list[Migration]:
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


def pending(migrations: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """Return those of ``migrations`` that are not ``applied``: checksums by number.

    Raise MigrationError when one was edited after it was applied, or when one is applied that is
    not here: it belongs to a newer release.
    """
    if unknown := applied.keys() - {migration.number for migration in migrations}:
        raise MigrationError(f"{min(unknown):04}: is applied, but this release has no such file")
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"{migration.number:04}_{migration.name}: was edited after it was applied; "
                "put it back and write a new one"
            )
    return [migration for migration in migrations if migration.number not in applied]
