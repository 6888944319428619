"""``lethe migrate`` and ``lethe report``, as typed."""

import csv
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lethe.cli import app
from sinks.clickhouse.client import Client
from sinks.clickhouse.connect import connect
from sinks.clickhouse.facts import FactsWriter
from sinks.clickhouse.migrate import Migrations
from sinks.clickhouse.statistics import Statistics
from streams.settings import ClickHouse, Settings

pytestmark = pytest.mark.clickhouse

Lethe = Callable[..., Result]


def use(
    place: ClickHouse, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Lethe:
    """Return ``lethe`` with the engine's address and passwords in the environment."""
    for name, value in place.model_dump().items():
        monkeypatch.setenv(f"LETHE_CLICKHOUSE__{name.upper()}", str(value))
    monkeypatch.setenv("LETHE_SECRETS_DIR", str(settings.secrets.resolve()))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def fresh(
    place: ClickHouse,
    empty: Client,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Lethe:
    """``lethe`` with a database that does not exist yet."""
    del empty
    return use(place, settings, tmp_path, monkeypatch)


@pytest.fixture
def lethe(
    settings: Settings,
    clickhouse_server: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Lethe:
    """``lethe`` with the database that the users file is about."""
    del clickhouse_server
    admin = connect(settings.clickhouse, "admin", settings.secrets)
    list(Migrations(admin, facts_hours=settings.statistics.facts_hours).apply())
    return use(settings.clickhouse, settings, tmp_path, monkeypatch)


@pytest.fixture
def site(
    lethe: Lethe,
    settings: Settings,
    rules: Any,
    event: Callable[..., dict[str, Any]],
    columns: Callable[[Sequence[dict[str, Any]]], Any],
) -> str:
    """Close two days of a site; on the second: Ulm 20 visitors, Kiel 7, two tiny cities."""
    del lethe
    name = f"{secrets.token_hex(6)}.example"
    cities = {"Ulm": 20, "Kiel": 7, "Au": 2, "Ow": 1}
    events = [
        event(
            site=name,
            city=city,
            page=f"/[bold]{city}",
            occurred_at=datetime(2024, 2, day, 9, tzinfo=UTC),
        )
        for day, some in ((27, {"Ulm": 9}), (28, cities))
        for city, visitors in some.items()
        for _ in range(visitors)
    ]
    with connect(settings.clickhouse, "writer", settings.secrets) as writer:
        FactsWriter(writer).write(columns(events), f"{name}:0:0-1")
        now = int(datetime.now(UTC).timestamp() * 1000) + 120_000
        list(Statistics(writer, rules).close_ready(now))
    return name


def test_migrate_lists_shows_and_applies(fresh: Lethe) -> None:
    assert fresh("migrate").stdout.count("pending") == 4
    assert "CREATE TABLE IF NOT EXISTS" in fresh("migrate", "--dry-run").stdout
    assert fresh("migrate", "--list").stdout.count("pending") == 4
    applied = fresh("migrate", "--apply")
    assert applied.stdout.splitlines()[0] == "applied 0001 facts"
    assert fresh("migrate", "--apply").stdout == "nothing to apply\n"
    assert fresh("migrate", "--dry-run").stdout == ""
    assert "pending" not in fresh("migrate").stdout
    assert fresh("migrate", "--apply", "--list").exit_code == 2


def test_a_missing_password_is_said(
    fresh: Lethe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LETHE_SECRETS_DIR", str(tmp_path))
    for words in (("migrate",), ("report", "cities")):
        result = fresh(*words)
        assert result.exit_code == 1
        assert "no password for" in result.stderr


def test_report_shows_the_newest_day_with_bars_and_what_is_withheld(
    lethe: Lethe, site: str
) -> None:
    result = lethe("report", "cities", "--site", site)
    assert result.exit_code == 0
    assert f"Cities of {site}, 2024-02-28" in result.stdout
    ulm = next(line for line in result.stdout.splitlines() if "Ulm" in line)
    assert ulm.count("█") == 24
    assert "(other)" in result.stdout
    assert not {"Kiel", "Au ", "Ow "} & set(result.stdout.split())
    assert "fewer than 10 visitors" in result.stdout
    assert "https://db-ip.com" in result.stdout


def test_report_prints_json_and_csv(lethe: Lethe, site: str) -> None:
    content = json.loads(lethe("report", "countries", "--site", site, "--format", "json").stdout)
    assert content["rows"] == [
        {"site": site, "day": "2024-02-28", "country": "DE", "visitors": 30, "events": 30}
    ]
    assert "https://db-ip.com" in content["notes"][1]
    text = lethe(
        "report", "cities", "--site", site, "--from", "2024-02-27", "--format", "csv"
    ).stdout
    assert list(csv.reader(text.splitlines())) == [
        ["site", "day", "country", "city", "visitors", "events"],
        [site, "2024-02-27", "DE", "Ulm", "10", "10"],
        [site, "2024-02-28", "DE", "Ulm", "20", "20"],
        [site, "2024-02-28", "DE", "(other)", "10", "10"],
    ]


@pytest.mark.parametrize("kind", ["pages", "referrers", "browsers", "countries", "cities"])
def test_every_report_of_what_happened_has_rows(lethe: Lethe, site: str, kind: str) -> None:
    result = lethe("report", kind, "--site", site, "--day", "2024-02-28")
    assert result.exit_code == 0
    assert "30" in result.stdout or "20" in result.stdout
    assert "[bold]" in result.stdout or kind != "pages"  # a page is text, not markup


def test_report_by_the_hour(lethe: Lethe, site: str) -> None:
    text = lethe("report", "cities", "--hourly", "--site", site, "--format", "csv").stdout
    assert text.splitlines()[1:] == [f"{site},2024-02-28,DE,Ulm,9,20,20"]
    assert lethe("report", "pages", "--hourly").exit_code == 2


def test_report_says_why_it_is_empty(lethe: Lethe, site: str) -> None:
    nobody = lethe("report", "cities", "--site", "nobody.example")
    assert nobody.exit_code == 0
    assert "closed, at " in nobody.stderr
    assert "Nothing of this kind" in lethe("report", "searches", "--site", site).stderr
    assert lethe("report", "cities", "--day", "2024-02-28", "--to", "2024-02-28").exit_code == 2
    assert lethe("report", "cities", "--day", "28-02-2024").exit_code == 2
