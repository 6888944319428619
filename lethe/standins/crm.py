"""A small CRM in SQLite, as a holder outside has it: the example of ``docs/deletion.md``.

It takes cases from a department's reader and erases what a deletion names. Whoever erases must also
remember that it did: a case that was read before may come to be kept after.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from lethe.case_reader import Case, Change
from lethe.retention import Deletion, Outcome
from sinks.sqlite import make_private, set_up, truncate

_TABLES = """
CREATE TABLE IF NOT EXISTS contacts (case_id TEXT PRIMARY KEY, fields TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS erased (case_id TEXT PRIMARY KEY, held INTEGER NOT NULL);
"""


class Crm:
    """Contacts by case. Safe to share between threads and processes."""

    def __init__(self, file: Path) -> None:
        make_private(file)
        self._file = file
        with self._open() as database:
            database.executescript(_TABLES)

    def take(self, change: Change) -> None:
        """Keep a case that is new or has changed. That one ended, its deletion says."""
        if isinstance(change, Case):
            self.keep(change.case_id, change.fields)

    def keep(self, case_id: str, fields: Mapping[str, str]) -> bool:
        """Keep a contact, and tell whether it is: not if it was to be erased."""
        with self._open() as database, _transaction(database):
            if _erased(database, case_id) is not None:
                return False
            row = case_id, json.dumps(dict(fields))
            database.execute("INSERT OR REPLACE INTO contacts VALUES (?, ?)", row)
            return True

    def erase(self, deletion: Deletion) -> Outcome:
        """Erase what is held of a case, out of the files too; the answer is the same each time."""
        with self._open() as database:
            with _transaction(database):
                case = (deletion.case_id,)
                held = database.execute("DELETE FROM contacts WHERE case_id = ?", case).rowcount
                row = deletion.case_id, held
                database.execute("INSERT OR IGNORE INTO erased VALUES (?, ?)", row)
            if not truncate(database):
                return Outcome.FAILED
            return Outcome.DONE if _erased(database, deletion.case_id) else Outcome.NOTHING_HELD

    def contacts(self) -> Mapping[str, Mapping[str, str]]:
        """Return the fields of every contact, by case."""
        with self._open() as database:
            rows = database.execute("SELECT case_id, fields FROM contacts ORDER BY case_id")
            return {case_id: json.loads(fields) for case_id, fields in rows}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file)) as database:
            set_up(database, None)
            yield database


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    with database:
        yield


def _erased(database: sqlite3.Connection, case_id: str) -> int | None:
    """Return how many contacts a case had when it was erased; None: it was not."""
    row = database.execute("SELECT held FROM erased WHERE case_id = ?", (case_id,)).fetchone()
    return None if row is None else int(row[0])
