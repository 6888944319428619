"""A backup is one moment of a ledger, of either database, and goes back into either."""

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, insert, select

from sinks.ledger import inbox, snapshot, tables, unsubscribed
from sinks.ledger.ledger import RESTORING, Ledger, LedgerFaultError

CASE = {
    "service": "samples", "group_id": None, "site": "shop", "subject": "s", "state": "open",
    "language": None, "received_at": 2**40, "changed_at": 1, "due_at": None, "key_version": 1,
    "sealed": {"email": "b64="}, "settings": {}, "further": None, "held": None,
}  # fmt: skip


def fill(ledger: Ledger, count: int = 3) -> None:
    with ledger.transaction() as connection:
        rows: list[dict[str, Any]] = [{"case_id": f"c-{each}", **CASE} for each in range(count)]
        connection.execute(insert(tables.cases), rows)
        key = {"department": "sales", "wrapped": b"\0wrapped", "made_at": 1}
        connection.execute(insert(tables.case_keys), [{"case_id": "c-0", **key}])
        unsubscribed.add(connection, "news", "subject", 5)


def content(ledger: Ledger) -> dict[str, list[Any]]:
    with ledger.reading() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table))))
            for table in tables.METADATA.sorted_tables
            if table.name != "positions"
        }


def test_what_goes_in_comes_out_again(ledger: Ledger, url: URL, tmp_path: Path) -> None:
    fill(ledger)
    before = content(ledger)
    file = tmp_path / "copy.db"
    snapshot.take(ledger, file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("copy.db-*")), "all of it is in one file"
    with pytest.raises(LedgerFaultError, match="one already"):
        put(ledger, url, file)
    with ledger.transaction() as connection:
        for table in tables.METADATA.sorted_tables:
            connection.execute(table.delete())
    target = put(ledger, url, file)
    assert content(target) == before
    with target.reading() as connection:
        assert inbox.is_marked(connection, RESTORING)
    with pytest.raises(LedgerFaultError, match="not finished"):
        Ledger.open(url)
    target.close()


def put(ledger: Ledger, url: URL, file: Path) -> Ledger:
    if url.get_backend_name() == "sqlite":
        snapshot.put_file(file, Path(str(url.database)))
        return Ledger.open(url, restoring=True)
    snapshot.put(file, ledger)
    return ledger


def test_it_is_one_moment_while_others_write(ledger: Ledger, tmp_path: Path) -> None:
    """Each transaction adds a row to two tables: a copy has as many of both."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with ledger.transaction() as connection:
                connection.execute(insert(tables.cases), [{"case_id": f"w-{number}", **CASE}])
                unsubscribed.add(connection, "news", f"w-{number}", 1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(3):
            file = tmp_path / f"{number}.db"
            snapshot.take(ledger, file)
            copy = Ledger.open(f"sqlite:///{file}")
            rows = content(copy)
            copy.close()
            assert len(rows["cases"]) == len(rows["unsubscribed"])
    finally:
        stop.set()
        thread.join()
