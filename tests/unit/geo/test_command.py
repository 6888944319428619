"""``lethe geo`` builds, describes and warns; its errors name the file and the remedy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lethe.cli.geo import command
from sinks.geo import Places, table_path

WriteMmdb = Callable[..., Path]
Layout = Callable[[str, str, float, float], Any]

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LETHE_GEO__CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "cache"


@pytest.fixture
def berlin(flat: Layout) -> dict[str, Any]:
    return {"82.1.2.0/24": flat("DE", "Berlin", 52.5, 13.4)}


def test_update_builds_from_a_file_and_says_what_it_is(
    cache: Path, write_mmdb: WriteMmdb, berlin: dict[str, Any]
) -> None:
    path = write_mmdb(berlin, built=1_000_000)
    result = run(command, ["update", "--file", str(path)])
    assert result.exit_code == 0, result.output
    for part in (
        "DB-IP City Lite", "1970-01-12", "sha256", "1 towns", "CC BY 4.0",
        "IP Geolocation by DB-IP https://db-ip.com", "GeoNames",
    ):  # fmt: skip
        assert part in result.stdout
    assert "older than 60 days" in result.stderr
    assert "city table: reading place names, 2%" in result.stderr, "a log shows it too"
    assert "Berlin" in Places.open(table_path(cache)).cities


def test_info_is_silent_about_the_age_of_new_data(
    write_mmdb: WriteMmdb, berlin: dict[str, Any]
) -> None:
    path = write_mmdb(berlin, built=4_000_000_000)
    result = run(command, ["update", "--file", str(path)])
    assert "older than" not in result.stderr
    assert run(command, ["info"]).stdout in result.stdout


def test_update_takes_the_databases_of_the_settings(
    write_mmdb: WriteMmdb, berlin: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_mmdb(berlin, name="mine.mmdb")
    monkeypatch.setenv("LETHE_GEO__DATABASES", f'["{path}"]')
    assert "mine.mmdb" in run(command, ["update"]).stdout
    clash = run(command, ["update", "--file", str(path)])
    assert clash.exit_code == 2
    assert "geo.databases" in clash.stderr


def test_old_geolite2_is_refused(write_mmdb: WriteMmdb, berlin: dict[str, Any]) -> None:
    result = run(
        command,
        ["update", "--file", str(write_mmdb(berlin, built=1_000_000, kind="GeoLite2-City"))],
    )
    assert result.exit_code == 1
    assert "older than 30 days" in result.stderr


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    result = run(command, ["update", "--file", "notes.txt"])
    assert result.exit_code == 1
    assert "notes.txt: no readable MaxMind DB" in result.stderr


def test_info_without_a_table_tells_how_to_get_one() -> None:
    result = run(command, ["info"])
    assert result.exit_code == 1
    assert "lethe geo update" in result.stderr


def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_GEO__DATABASE", "x")
    result = run(command, ["info"])
    assert result.exit_code == 2
    assert "geo.database" in result.stderr
