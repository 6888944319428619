import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event as sql_event

from privacy.pseudonym import Salt
from sinks.salts import GRACE_MS, Salts, SaltsUnavailableError

DAY = 86_400_000
MIDNIGHT = 20_780 * DAY
NOON = MIDNIGHT + DAY // 2


def on_disk(folder: Path) -> bytes:
    """Every byte of every file of the store."""
    return b"|".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_day_has_one_salt_and_another_day_another(tmp_path: Path) -> None:
    salts = Salts.under(tmp_path)
    first = salts.current(MIDNIGHT)
    assert len(first) == 32
    assert salts.current(MIDNIGHT + DAY - 1) == first
    assert salts.current(MIDNIGHT + DAY) != first


def test_two_processes_get_the_same_salt(tmp_path: Path) -> None:
    """Also when they ask at the same moment for a day that has none yet."""
    code = (
        "import sys; from pathlib import Path; from sinks.salts import Salts;"
        "salts = Salts.under(Path(sys.argv[1])); sys.stdin.read();"
        "print(salts.current(int(sys.argv[2])).hex())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(NOON)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin
        process.stdin.close()
    found = {process.stdout.read().strip() for process in started if process.stdout}
    assert [process.wait() for process in started] == [0, 0, 0]
    assert found == {Salts.under(tmp_path).current(NOON).hex()}


def test_many_threads_get_the_same_salt(tmp_path: Path) -> None:
    stores = [Salts.under(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda n: stores[n % 4].current(NOON), range(64)))
    assert len(found) == 1


def test_a_cached_salt_needs_no_store(tmp_path: Path) -> None:
    salts = Salts.under(tmp_path)
    assert salts.cached(NOON) is None
    salt = salts.current(NOON)
    statements: list[str] = []
    sql_event.listen(
        salts._engine, "before_cursor_execute", lambda *args: statements.append(args[2])
    )
    assert salts.current(NOON) == salts.cached(NOON) == salt
    assert salts.cached(NOON + DAY) is None
    assert not statements


def old_and_new(folder: Path) -> tuple[Salts, Salt, Salt]:
    salts = Salts.under(folder)
    return salts, salts.current(MIDNIGHT - 1), salts.current(MIDNIGHT)


def test_an_old_salt_is_in_no_file_once_destroyed(tmp_path: Path) -> None:
    salts, old, new = old_and_new(tmp_path)
    assert old in on_disk(tmp_path)
    assert salts.destroy_old(NOON)
    assert old not in on_disk(tmp_path)
    assert new in on_disk(tmp_path)
    salts.close()
    assert old not in on_disk(tmp_path)


def test_deleting_alone_would_leave_the_salt_on_disk(tmp_path: Path) -> None:
    """What the search finds without the checkpoint and without secure_delete: it can fail."""
    _, old, _ = old_and_new(tmp_path / "no-checkpoint")
    connection = sqlite3.connect(tmp_path / "no-checkpoint" / "keys" / "salts.db")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("DELETE FROM visitor_salts WHERE day < ?", [NOON // DAY])
    connection.commit()
    assert old in on_disk(tmp_path / "no-checkpoint")

    salts, old, _ = old_and_new(tmp_path / "no-secure-delete")
    salts.close()
    connection = sqlite3.connect(tmp_path / "no-secure-delete" / "keys" / "salts.db")
    connection.execute("PRAGMA secure_delete=OFF")
    connection.execute("DELETE FROM visitor_salts WHERE day < ?", [NOON // DAY])
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert old in on_disk(tmp_path / "no-secure-delete")


@pytest.mark.parametrize(
    ("now", "gone"),
    [
        (MIDNIGHT, False),
        (MIDNIGHT + GRACE_MS - 1, False),
        (MIDNIGHT + GRACE_MS, True),
        (MIDNIGHT + DAY - 1, True),
    ],
)
def test_a_salt_lives_two_hours_longer_than_its_day(tmp_path: Path, now: int, gone: bool) -> None:
    salts = Salts.under(tmp_path)
    old = salts.current(MIDNIGHT - 1)
    assert salts.destroy_old(now)
    assert (old not in on_disk(tmp_path)) is gone
    assert (salts.cached(MIDNIGHT - 1) is None) is gone, "in memory no longer than on disk"


def test_a_new_day_destroys_what_was_left(tmp_path: Path) -> None:
    salts = Salts.under(tmp_path)
    old = salts.current(NOON)
    salts.current(NOON + 2 * DAY)
    assert old not in on_disk(tmp_path)


def test_a_reader_in_the_way_is_told_and_the_next_call_succeeds(tmp_path: Path) -> None:
    salts, old, _ = old_and_new(tmp_path)
    with salts._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")
    reader = sqlite3.connect(tmp_path / "keys" / "salts.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM visitor_salts").fetchall()
    assert not salts.destroy_old(NOON)
    assert old in on_disk(tmp_path)
    reader.execute("COMMIT")
    assert salts.destroy_old(NOON)
    assert old not in on_disk(tmp_path)


def test_the_files_are_their_owner_s_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        Salts.under(tmp_path).current(NOON)
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes.pop("keys") == 0o700
    assert set(modes.values()) == {0o600}


def test_without_its_store_there_is_no_salt(tmp_path: Path) -> None:
    """Never one made up for this process alone."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "salts.db").write_bytes(b"not a database" * 100)
    salts = Salts.under(tmp_path)
    with pytest.raises(SaltsUnavailableError):
        salts.current(NOON)
    assert not salts.destroy_old(NOON)


def test_the_salts_that_exist_are_told_with_their_days(tmp_path: Path) -> None:
    salts = Salts.under(tmp_path)
    assert salts.kept() == []
    yesterday, today = salts.current(MIDNIGHT - 1), salts.current(MIDNIGHT)
    days = [MIDNIGHT // DAY - 1, MIDNIGHT // DAY]
    assert dict(salts.kept()) == dict(zip(days, (yesterday, today), strict=True))
    salts.destroy_old(MIDNIGHT + GRACE_MS)
    assert dict(salts.kept()) == {days[1]: today}


def test_salts_that_cannot_be_read_are_not_none(tmp_path: Path) -> None:
    salts = Salts.under(tmp_path)
    salts.close()
    (tmp_path / "keys" / "salts.db").write_bytes(b"no database at all, of some length" * 100)
    with pytest.raises(SaltsUnavailableError):
        salts.kept()
