"""Every user and every statement that could be tried, on an engine of its own.

It keeps a query log, which the embedded engine else does not, and has a cluster to be refused.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest

from lethe.local import clickhouse, packages
from lethe.local.process import choose_ports
from sinks.clickhouse.client import ClickHouseError, Client
from sinks.clickhouse.migrate import Migrations
from sinks.clickhouse.server import QUERY_LOG
from sinks.clickhouse.visitors import ClickHouseFacts, Hashed
from tests.clock import within_a_period
from tests.integration.clickhouse import matrix
from tests.integration.clickhouse.matrix import CLUSTER, DATABASE, REFUSED, USERS, Cell
from tests.waiting import until

pytestmark = pytest.mark.clickhouse

SCRATCH = f"{DATABASE}_scratch"
"""Where admin, who may destroy everything, does."""
NO_ANSWER, READONLY, QUOTA_EXCEEDED = -1, 164, 201
QUOTA_SECONDS = 3_600


class Apart(NamedTuple):
    """An engine that nobody else uses."""

    folder: Path
    ports: tuple[int, int]
    ask: Callable[..., tuple[int, str]]
    """Sends a statement as a user over HTTP; returns ClickHouse's error code and the body."""

    def connect(self, user: str, database: str = DATABASE) -> Client:
        password = clickhouse.passwords(self.folder / "secrets")[user]
        return Client("127.0.0.1", self.ports[0], database, user, password, patience=0)

    def rows(self, query: str) -> list[list[str]]:
        """Ask as one who may see everything."""
        code, body = self.ask("root", f"{query} FORMAT TabSeparatedRaw")
        assert code == 0, (query, body)
        return [line.split("\t") for line in body.splitlines()]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    folder = tmp_path_factory.mktemp("apart")
    native, http = choose_ports(2)
    ports = native, http
    process = clickhouse.server(
        packages.clickhouse_library(), folder / "data", folder / "logs" / "clickhouse.log",
        secrets_dir=folder / "secrets", ports=ports, database=DATABASE,
    )  # fmt: skip
    _arrange(folder)
    process.start()
    passwords = clickhouse.passwords(folder / "secrets")
    passwords = {**passwords, "second": passwords["analyst"]}
    connection = HTTPConnection("127.0.0.1", ports[1], timeout=30)

    def ask(user: str, statement: str, database: str = DATABASE) -> tuple[int, str]:
        headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": passwords.get(user, "")}
        try:
            connection.request("POST", f"/?database={database}", statement.encode(), headers)
            response = connection.getresponse()
            body = response.read().decode("utf-8", "replace")
        except TimeoutError:
            connection.close()
            return NO_ANSWER, "no answer"
        return int(response.headers.get("X-ClickHouse-Exception-Code", 0)), body

    made = Apart(folder, ports, ask)
    try:
        with made.connect("admin") as admin:
            list(Migrations(admin, facts_hours=48).apply())
        yield made
    finally:
        connection.close()
        process.stop()


def _arrange(folder: Path) -> None:
    """Add the query log, a cluster, somebody who sees everything, and a second analyst."""
    config, users = folder / "clickhouse.xml", folder / "clickhouse-users.xml"
    nowhere = "<shard><replica><host>127.0.0.1</host><port>1</port></replica></shard>"
    config.write_text(
        config.read_text().replace(
            "</clickhouse>",
            f"{QUERY_LOG}<remote_servers><{CLUSTER}>{nowhere}</{CLUSTER}></remote_servers>"
            "</clickhouse>",
        )
    )
    text = users.read_text()
    _, quota, analyst = re.findall(r"(?s) {4}<analyst>.*?</analyst>\n", text)
    root = (
        "<root><password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile>"
        "<quota>default</quota><access_management>1</access_management></root>"
    )
    quota, second = (re.sub(r"\banalyst(?=<|>\n)", "second", each) for each in (quota, analyst))
    second = second.replace("<profile>second", "<profile>analyst")
    text = text.replace("  </quotas>", f"{quota}  </quotas>")
    users.write_text(text.replace("  </users>", f"{root}{second}  </users>"))


@pytest.fixture(scope="module")
def cells(apart: Apart) -> list[Cell]:
    """Return every statement; those that destroy last."""
    return [
        *matrix.of_system(apart.rows),
        *matrix.of_functions(apart.rows),
        *matrix.of_settings(apart.rows),
        *matrix.of_engines(apart.rows),
        *matrix.of_everything_else(),
        *matrix.of_tables(apart.rows),
    ]


@pytest.mark.parametrize("user", USERS)
def test_each_may_do_its_part_and_nothing_else(user: str, apart: Apart, cells: list[Cell]) -> None:
    database = SCRATCH if user == "admin" else DATABASE
    if user == "admin":
        with apart.connect("admin", SCRATCH) as admin:
            list(Migrations(admin, facts_hours=48).apply())
    wrong = []
    for cell in cells:
        code, body = apart.ask(user, cell.statement.replace("$db", database), database)
        if (code != cell.ends) if user in cell.may else (code not in REFUSED):
            wrong.append(f"{cell.name}: {code} {body[:200]}")
        if cell.name.startswith("update ") and code == 0:
            until(lambda: not _changing(apart), "the update: its column is dropped next")
    assert not wrong, "\n".join(wrong)
    assert len(cells) > 900


def _changing(apart: Apart) -> list[list[str]]:
    return apart.rows("SELECT mutation_id FROM system.mutations WHERE NOT is_done")


def test_an_analyst_can_change_no_setting(apart: Apart) -> None:
    statements = list(matrix.changes(apart.rows))
    assert len(statements) > 900
    assert {apart.ask("analyst", each)[0] for each in statements} == {READONLY}
    assert {
        apart.ask("analyst", f"SET {each.split('SETTINGS ')[1]}")[0] for each in statements
    } == {READONLY}


def test_each_sees_the_names_of_what_it_may_use_alone(apart: Apart) -> None:
    for user in set(USERS) - {"admin"}:
        seen = {name for (name,) in _rows(apart, user, "SELECT name FROM system.tables")}
        columns = {name for (name,) in _rows(apart, user, "SELECT table FROM system.columns")}
        tables = {*matrix.may_use(user), *matrix.may_read_of_system(user)}
        assert seen == columns == tables


def test_no_file_outside_its_own_is_read(apart: Apart, tmp_path: Path) -> None:
    """``file()`` of the embedded engine asks nobody who asks."""
    other = tmp_path / "note"
    other.write_text("another's")
    for file in (apart.folder / "secrets" / "clickhouse-admin", other, Path("/etc/passwd")):
        for user in USERS:
            code, body = apart.ask(user, f"SELECT file('{file}')")
            assert code not in {0, *REFUSED}, (user, file)
            assert file.read_text().strip()[:8] not in body
    with apart.connect("analyst") as analyst:
        for name in ("environ", "cmdline"):
            ((held,),) = analyst.query(f"SELECT file('/proc/self/{name}')")
            assert "PATH" in held or name == "cmdline"
            assert not [each for each in _secrets(apart) if each in held]


def test_an_analyst_cannot_carry_everything_away(apart: Apart) -> None:
    within_a_period(QUOTA_SECONDS, 30)
    statement = "SELECT number FROM numbers(1000000) FORMAT Native"
    codes = [apart.ask("second", statement)[0] for _ in range(23)]
    assert codes[:19] == [0] * 19
    assert codes[-2:] == [QUOTA_EXCEEDED] * 2
    assert apart.ask("analyst", "SELECT 1") == (0, "1\n")


def test_an_analyst_is_counted_by_statements_rows_and_time(apart: Apart) -> None:
    """Whoever is over one of them for an hour gets no answer, as with rows above."""
    within_a_period(QUOTA_SECONDS, 30)
    assert apart.ask("analyst", "SELECT sum(number) FROM numbers(10000000)")[0] == 0
    limits = "SELECT max_queries, max_result_rows, max_execution_time FROM system.quota_limits"
    mine = "WHERE quota_name = 'analyst'"
    assert _rows(apart, "root", f"{limits} {mine}") == [["20000", "20000000", "1800"]]
    usage = "SELECT queries, result_rows FROM system.quotas_usage"
    (counted,) = _rows(apart, "root", f"{usage} {mine}")
    assert all(int(each) > 0 for each in counted)


def test_whom_a_statement_names_is_in_no_log(apart: Apart) -> None:
    """Neither when it works nor when it fails; an analyst's statements are there."""
    asked, named = f"asked{secrets.token_hex(4)}", 10**17 + secrets.randbelow(10**17)
    assert apart.ask("analyst", f"SELECT '{asked}'")[0] == 0
    day = date(2024, 2, 28)
    with apart.connect("eraser") as eraser, apart.connect("writer") as writer:
        facts = ClickHouseFacts(eraser)
        row = {"event_id": str(UUID(int=named)), "visitor": named, "site": "shop.example"}
        writer.insert_rows(
            "facts", [*row, "occurred_at"], [[*row.values(), datetime(2024, 2, 28, tzinfo=UTC)]],
            token=asked,
        )  # fmt: skip
        who = [Hashed("shop.example", day, named)]
        facts.hold("hold", who)
        assert [each["event_id"] for each in facts.read(who)] == [row["event_id"]]
        facts.release(["hold"])
        assert facts.erase(who)
        for broken in (
            "SELECT nothing WHERE visitor = %(v)s",
            "ALTER TABLE facts DELETE WHERE nothing = %(v)s",
        ):
            with pytest.raises(ClickHouseError):
                eraser.query(broken, {"v": named})
    # Of other tables, on which other tests try what may be deleted, nobody is in a statement.
    folders = apart.rows(
        "SELECT arrayJoin(data_paths) FROM system.tables WHERE name IN ('facts', 'facts_held')"
    )
    assert len(folders) == 2
    assert not [each for (folder,) in folders for each in Path(folder).glob("mutation_*.txt")]
    assert apart.ask("root", "SYSTEM FLUSH LOGS")[0] == 0
    ours = f"SELECT DISTINCT user FROM system.query_log WHERE position(query, '{asked}') > 0"
    assert ["analyst"] in apart.rows(ours)
    logged = {user for (user,) in apart.rows("SELECT DISTINCT user FROM system.query_log")}
    assert not logged & {"writer", "eraser"}
    logs = list((apart.folder / "logs").iterdir())
    assert logs
    assert not [each for each in logs if str(named).encode() in each.read_bytes()]


def _rows(apart: Apart, user: str, query: str) -> list[list[str]]:
    code, body = apart.ask(user, query)
    assert code == 0, body
    return [line.split("\t") for line in body.splitlines()]


def _secrets(apart: Apart) -> list[str]:
    return [each.read_text().strip() for each in (apart.folder / "secrets").iterdir()]
