"""What users can do, their limits, and the files that say so. Each cell: ``test_matrix.py``."""

from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from sinks.clickhouse.client import ClickHouseDownError, ClickHouseError, Client
from sinks.clickhouse.connect import connect
from sinks.clickhouse.facts import FactsWriter
from sinks.clickhouse.migrate import Migrations
from sinks.clickhouse.roles import USERS, VIEWS, users_xml
from sinks.clickhouse.statistics import Statistics
from streams.settings import Settings

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def admin(settings: Settings, clickhouse_server: object) -> Client:
    """``admin`` in the database that the users file is about."""
    del clickhouse_server
    client = connect(settings.clickhouse, "admin", settings.secrets)
    list(Migrations(client, facts_hours=settings.statistics.facts_hours).apply())
    return client


@pytest.fixture
def ask(settings: Settings, admin: Client) -> Callable[..., tuple[int, str]]:
    """Send a statement over HTTP; return ClickHouse's error code and the body."""

    def post(user: str, statement: str, password: str | None = None) -> tuple[int, str]:
        file = settings.secrets / f"clickhouse-{user}"
        if password is None:
            password = file.read_text().strip() if user in USERS else ""
        place = settings.clickhouse
        connection = HTTPConnection(place.host, place.http_port, timeout=20)
        query = urlencode({"database": admin.database})
        headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}
        connection.request("POST", f"/?{query}", statement.encode(), headers)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return int(response.headers.get("X-ClickHouse-Exception-Code", 0)), body

    return post


def test_an_analyst_sees_the_views_and_no_other_name(ask: Callable[..., tuple[int, str]]) -> None:
    assert set(ask("analyst", "SHOW TABLES")[1].split()) == set(VIEWS)


@pytest.mark.parametrize(
    ("statement", "limit"),
    [
        ("SELECT number FROM numbers(2000000)", "TOO_MANY_ROWS"),
        ("SELECT groupArray(number) FROM numbers(1000000000)", "MEMORY_LIMIT_EXCEEDED"),
    ],
)
def test_an_analyst_cannot_exhaust_the_server(
    settings: Settings, admin: Client, statement: str, limit: str
) -> None:
    del admin
    with (
        connect(settings.clickhouse, "analyst", settings.secrets, patience=0) as analyst,
        pytest.raises((ClickHouseError, ClickHouseDownError), match=limit),
    ):
        analyst.query(statement)


@pytest.mark.parametrize("user", USERS)
def test_a_wrong_password_lets_nobody_in(user: str, ask: Callable[..., tuple[int, str]]) -> None:
    assert ask(user, "SELECT 1", "wrong")[0] == 516  # AUTHENTICATION_FAILED
    assert ask(user, "SELECT 1", "")[0] == 516


def test_writer_and_analyst_can_do_their_whole_work(
    settings: Settings,
    admin: Client,
    rules: Any,
    event: Callable[..., dict[str, Any]],
    columns: Callable[..., Any],
) -> None:
    """The statistics' views, and everything on the way to them, as the users they are for."""
    del admin
    site = f"site-{datetime.now(UTC):%f}.example"
    day = datetime(2024, 2, 28, 9, tzinfo=UTC)
    numbers = count(1)
    types = ("page_view", "click", "search", "error", "custom")
    events = [
        event(site=site, type=kind, occurred_at=day, visitor=next(numbers), status=404)
        for kind in types
        for _ in range(10)
    ]
    with connect(settings.clickhouse, "writer", settings.secrets) as writer:
        FactsWriter(writer).write(columns(events), f"{site}:0:0-49")
        statistics = Statistics(writer, rules)
        moment = int(datetime.now(UTC).timestamp() * 1000) + 120_000
        list(statistics.close_ready(moment))
        list(statistics.reconcile(moment))
    with connect(settings.clickhouse, "analyst", settings.secrets) as analyst:
        for view in VIEWS:
            rows = analyst.query(f"SELECT * FROM {view} WHERE site = %(site)s", {"site": site})
            assert rows, view
            assert all(row[-2] % 5 == 0 for row in rows)
        assert analyst.query(
            "SELECT status, page, visitors FROM errors_daily WHERE site = %(site)s", {"site": site}
        ) == [(404, "/", 10)]


def test_the_users_file_for_a_server_is_the_one_declared() -> None:
    file = Path(__file__).parents[3] / "deploy" / "clickhouse" / "users.xml"
    assert file.read_text() == users_xml(None, "lethe", embedded=False)
    assert '<default remove="1"/>' in file.read_text()


def test_a_user_without_a_password_is_an_error() -> None:
    with pytest.raises(KeyError, match="eraser"):
        users_xml({"admin": "a", "writer": "b", "analyst": "c"}, "lethe", embedded=True)


def test_no_password_is_in_the_file() -> None:
    file = users_xml(dict.fromkeys(USERS, "open sesame"), "lethe", embedded=True)
    assert "sesame" not in file
    assert file.count("<password_sha256_hex>") == len(USERS)
