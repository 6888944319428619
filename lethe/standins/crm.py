"""A small CRM in SQLite, as a holder outside has it: the example of ``docs/holders.md``.

It takes cases from a department's reader, erases what a deletion names, and does what people ask of
their rights. Whoever erases must also remember that it did, and so must who is told of a hold: a
case that was read before may come to be kept after.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lethe.case_reader import Case, Change
from lethe.retention import Deletion, Outcome
from lethe.rights import STATEMENT, Correction, Export, Handlers, Hold, HoldKind
from sinks.sqlite import make_private, set_up, truncate

_TABLES = """
CREATE TABLE IF NOT EXISTS contacts (case_id TEXT PRIMARY KEY, fields TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS erased (case_id TEXT PRIMARY KEY, held INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS holds (case_id TEXT PRIMARY KEY);
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
        """Erase what is held of a case, out of the files too; the answer is the same each time.

        A case under a hold stays, and is asked for again.
        """
        with self._open() as database:
            with _transaction(database):
                case = (deletion.case_id,)
                if _is_held(database, deletion.case_id):
                    return Outcome.FAILED
                held = database.execute("DELETE FROM contacts WHERE case_id = ?", case).rowcount
                row = deletion.case_id, held
                database.execute("INSERT OR IGNORE INTO erased VALUES (?, ?)", row)
            if not truncate(database):
                return Outcome.FAILED
            return Outcome.DONE if _erased(database, deletion.case_id) else Outcome.NOTHING_HELD

    @property
    def handlers(self) -> Handlers:
        """What a ``RightsWorker`` is given."""
        return Handlers(correct=self.correct, hold=self.hold, export=self.export)

    def correct(self, correction: Correction) -> Outcome:
        """Put right what is held of a case, out of the files too, and add the statement to it."""
        said = {} if correction.statement is None else {STATEMENT: correction.statement}
        with self._open() as database:
            with _transaction(database):
                held = _fields(database, correction.case_id)
                if held is None:
                    return Outcome.NOTHING_HELD
                row = json.dumps({**held, **correction.fields, **said}), correction.case_id
                database.execute("UPDATE contacts SET fields = ? WHERE case_id = ?", row)
            return Outcome.DONE if truncate(database) else Outcome.FAILED

    def hold(self, hold: Hold) -> Outcome:
        """Leave a case alone from now on, also one that is still to come; or use it again."""
        with self._open() as database, _transaction(database):
            case = (hold.case_id,)
            if hold.kind is HoldKind.LIFTING:
                database.execute("DELETE FROM holds WHERE case_id = ?", case)
            else:
                database.execute("INSERT OR IGNORE INTO holds VALUES (?)", case)
            known = _fields(database, hold.case_id) is not None
            return Outcome.DONE if known else Outcome.NOTHING_HELD

    def export(self, export: Export) -> Mapping[str, Any] | None:
        """Return all that is held of a case; None: nothing."""
        with self._open() as database:
            return _fields(database, export.case_id)

    def contacts(self) -> Mapping[str, Mapping[str, str]]:
        """Return the fields of every contact that may be used, by case: of none under a hold."""
        with self._open() as database:
            rows = database.execute(
                "SELECT case_id, fields FROM contacts"
                " WHERE case_id NOT IN (SELECT case_id FROM holds) ORDER BY case_id"
            )
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


def _is_held(database: sqlite3.Connection, case_id: str) -> bool:
    row = database.execute("SELECT 1 FROM holds WHERE case_id = ?", (case_id,)).fetchone()
    return row is not None


def _fields(database: sqlite3.Connection, case_id: str) -> dict[str, str] | None:
    """Return the fields of a contact, whether it may be used or not; None: there is none."""
    row = database.execute("SELECT fields FROM contacts WHERE case_id = ?", (case_id,)).fetchone()
    return None if row is None else json.loads(row[0])
