import os
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, MetaData, create_engine, inspect, text

from sinks import sqlite
from sinks.ledger.inbox import Position, first
from sinks.ledger.ledger import Ledger, LedgerError, LedgerFaultError
from sinks.ledger.migrate import FOLDER, migrate
from sinks.ledger.tables import METADATA
from sinks.migrations import Migration, MigrationError, read

NEXT = len(read(FOLDER)) + 1
HERE = Position("consent-changes", 0, 7)


# Of these nothing is deleted that names a person, or nothing is promised to be gone at once.
NOBODY_S = {
    "positions", "withdrawals", "dispatchers", "deliveries", "key_uses", "groups", "jobs",
    "deletions", "receipts", "unsubscribed", "request_commands", "suppressed", "policies",
    "profile_affinities",
}  # fmt: skip


def note(ledger: Ledger, position: Position = HERE) -> bool:
    with ledger.transaction() as connection:
        return first(connection, "consent", [position])[0]


def test_the_migrations_make_the_tables_that_the_code_expects(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        found = MetaData()
        found.reflect(connection)
        dialect = connection.dialect

    def described(metadata: MetaData) -> dict[str, dict[str, tuple[str, bool | None, bool]]]:
        return {
            table.name: {
                column.name: (column.type.compile(dialect), column.nullable, column.primary_key)
                for column in table.columns
            }
            for table in metadata.tables.values()
            if table.name != "migrations"
        }

    assert described(found) == described(METADATA)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_dead_rows_of_every_table_that_names_people_are_given_up(ledger: Ledger, url: URL) -> None:
    assert ledger.checkpoint()
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT relname, vacuum_count FROM pg_stat_user_tables"))
        vacuumed = {name for name, times in rows if times}
    engine.dispose()
    tables = {each.name for each in METADATA.tables.values() if each.name != "migrations"}
    assert vacuumed == tables - NOBODY_S


def test_opening_again_keeps_what_is_there(url: URL) -> None:
    ledger = Ledger.open(url)
    assert note(ledger)
    ledger.close()
    ledger = Ledger.open(url)
    assert not note(ledger)
    ledger.close()


def test_a_new_migration_is_applied_once(ledger: Ledger) -> None:
    more = [*read(FOLDER), Migration(NEXT, "more", "-- More.\n\nCREATE TABLE more (a INTEGER);\n")]
    for _ in range(2):
        with ledger.transaction() as connection:
            migrate(connection, more)
    with ledger.reading() as connection:
        assert inspect(connection).has_table("more")


def test_a_migration_that_fails_leaves_nothing_half_done(ledger: Ledger) -> None:
    half = Migration(NEXT, "half", "CREATE TABLE half (a INTEGER);\nCREATE TABLE half (a INTEGER);")
    with pytest.raises(LedgerFaultError), ledger.transaction() as connection:
        migrate(connection, [*read(FOLDER), half])
    with ledger.reading() as connection:
        assert not inspect(connection).has_table("half")


def test_an_edited_migration_is_refused(ledger: Ledger) -> None:
    edited = [Migration(each.number, each.name, each.text + "-- ") for each in read(FOLDER)]
    with pytest.raises(MigrationError, match="edited"), ledger.transaction() as connection:
        migrate(connection, edited)


def test_a_ledger_of_a_newer_release_is_refused(ledger: Ledger, url: URL) -> None:
    with ledger.transaction() as connection:
        migrate(connection, [*read(FOLDER), Migration(NEXT, "newer", "")])
    with pytest.raises(MigrationError, match=f"{NEXT:04}"):
        Ledger.open(url)


def test_several_processes_open_and_write_at_once(url: URL) -> None:
    code = (
        "import sys; from sinks.ledger.ledger import Ledger;"
        "from sinks.ledger.inbox import Position, first;"
        "print('ready', flush=True); sys.stdin.read();"
        "ledger = Ledger.open(sys.argv[1]); won = 0\n"
        "for offset in range(20):\n"
        "    with ledger.transaction() as connection:\n"
        "        won += first(connection, 'reader', [Position('topic', offset, offset)])[0]\n"
        "print(won)"
    )
    command = [sys.executable, "-c", code, url.render_as_string(hide_password=False)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in started:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin
        process.stdin.close()
    won = [int(process.stdout.read()) for process in started if process.stdout]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert sum(won) == 20, "each message is handled by exactly one"


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_who_opens_while_another_migrates_waits_for_its_end(url: URL) -> None:
    """In SQLite any writer does."""
    first_to_come = Ledger(create_engine(url))
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor(1) as pool:
        with first_to_come.transaction() as connection:
            migrate(connection)
            opening = pool.submit(Ledger.open, url)
            while not connection.scalar(waiting):
                assert not opening.done()
        opening.result().close()
    first_to_come.close()


def test_what_raises_is_not_kept(ledger: Ledger) -> None:
    with suppress(ZeroDivisionError), ledger.transaction() as connection:
        assert first(connection, "consent", [HERE])[0]
        raise ZeroDivisionError
    assert note(ledger)


def test_a_process_that_dies_before_the_commit_changed_nothing(ledger: Ledger, url: URL) -> None:
    code = (
        "import os, sys; from sinks.ledger.ledger import Ledger;"
        "from sinks.ledger.inbox import Position, first\n"
        "with Ledger.open(sys.argv[1]).transaction() as connection:\n"
        "    assert first(connection, 'consent', [Position('consent-changes', 0, 7)])[0]\n"
        "    os._exit(9)"
    )
    command = [sys.executable, "-c", code, url.render_as_string(hide_password=False)]
    assert subprocess.run(command, check=False).returncode == 9
    assert note(ledger)


def test_readers_do_not_wait_for_a_writer(ledger: Ledger) -> None:
    note(ledger)
    with ledger.transaction() as writing, ledger.reading() as connection:
        first(writing, "consent", [HERE._replace(offset=8)])
        assert connection.scalar(text('SELECT "offset" FROM positions')) == HERE.offset


def test_one_that_reads_before_it_writes_waits_for_its_turn(ledger: Ledger) -> None:
    """In SQLite it would be refused at once if its transaction began as a reader's."""
    count = text('SELECT coalesce(sum("offset"), 0) FROM positions')
    start = threading.Barrier(4, timeout=20)

    def work(partition: int) -> None:
        start.wait()
        for offset in range(10):
            with ledger.transaction() as connection:
                connection.scalar(count)
                first(connection, "consent", [Position("topic", partition, offset)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    with ledger.reading() as connection:
        assert connection.scalar(count) == 4 * 9


def test_reading_cannot_write(ledger: Ledger) -> None:
    with pytest.raises(LedgerFaultError), ledger.reading() as connection:
        first(connection, "consent", [HERE])


def test_errors_hold_no_values(ledger: Ledger) -> None:
    row = "INSERT INTO consents VALUES (:site, :visitor, 0, '{}', '[]')"
    given = {"site": "shop", "visitor": "v-secret"}
    with pytest.raises(LedgerFaultError) as caught, ledger.transaction() as connection:
        connection.execute(text(row), [given, given])
    assert "v-secret" not in f"{caught.value!r} {caught.value}"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_file_that_is_locked_is_an_outage(
    ledger: Ledger, url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0)
    with ledger.transaction(), pytest.raises(LedgerError, match="SQLITE_BUSY"):
        Ledger.open(url)


def fill(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA max_page_count=1")  # as many as there are
    for partition in range(100):
        first(connection, "r" * 1_000, [Position("topic", partition, 0)])


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_disk_that_is_full_is_an_outage(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="SQLITE_FULL"), ledger.transaction() as connection:
        fill(connection)


def kill(url: URL, connection: Connection) -> None:
    pid = connection.scalar(text("SELECT pg_backend_pid()"))
    with create_engine(url).begin() as another:
        another.execute(text(f"SELECT pg_terminate_backend({pid})"))
    first(connection, "consent", [HERE])


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_server_that_goes_away_is_an_outage(ledger: Ledger, url: URL) -> None:
    with pytest.raises(LedgerError), ledger.transaction() as connection:
        kill(url, connection)
    assert note(ledger), "and the next finds it there again"


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("said", "after"), [({}, 30_000), ({"tcp_user_timeout": "5000"}, 5_000)])
def test_a_connection_that_is_dead_is_not_waited_for(
    url: URL, said: dict[str, str], after: int
) -> None:
    """The kernel finds out; what the ledger's URL says about it holds."""
    ledger = Ledger.open(url.update_query_dict(said))
    with ledger.reading() as connection:
        there = connection.connection.driver_connection
        assert there is not None
        with socket.socket(fileno=os.dup(there.fileno())) as its:
            assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == after
            assert its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle = its.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            between = its.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
            assert idle + between * its.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) <= 30
    ledger.close()


def test_a_statement_that_is_wrong_is_no_outage(ledger: Ledger) -> None:
    with pytest.raises(LedgerFaultError), ledger.reading() as connection:
        connection.execute(text("SELECT a FROM nothing"))


@pytest.mark.parametrize("elsewhere", ["sqlite://", "sqlite:///:memory:", "mysql://127.0.0.1/a"])
def test_no_other_database_will_do(elsewhere: str) -> None:
    with pytest.raises(ValueError, match="ledger"):
        Ledger.open(elsewhere)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerFaultError):
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_the_files_are_their_owner_s_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        ledger = Ledger.open(f"sqlite:///{tmp_path / 'inner' / 'ledger.db'}")
    finally:
        os.umask(mask)
    note(ledger)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes.pop("inner") == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3, "the file, its log and its index"


def test_every_connection_is_durable_and_overwrites_what_it_deletes(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.reading() as one, ledger.reading() as other:
        for connection in (one, other):
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
            }
            assert found == {
                "journal_mode": "wal",
                "synchronous": 2,
                "secure_delete": 1,
                "foreign_keys": 1,
            }


def test_opening_it_once_more_leaves_the_locks_of_who_has_it_open(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger.open(url)
    note(ledger)
    Ledger.open(url).close()
    other = (
        "import sys; from sinks.ledger.ledger import Ledger\n"
        "from sinks.ledger.inbox import Position, first\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "with ledger.transaction() as c: first(c, 'consent', [Position('later', 0, 1)])\n"
        "ledger.close()\n"  # as the last one, if nobody holds a lock: it takes the log away
    )
    subprocess.run([sys.executable, "-c", other, url], check=True)
    assert (tmp_path / "ledger.db-wal").exists()
    assert not note(ledger, Position("later", 0, 1)), "what others wrote is seen"
