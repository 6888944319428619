from pathlib import Path

import pytest

from sinks.clickhouse.client import ClickHouseError, Client
from sinks.clickhouse.migrate import FOLDER, Migrations
from sinks.clickhouse.roles import VIEWS
from sinks.migrations import Migration, MigrationError, read

pytestmark = pytest.mark.clickhouse

FIRST = Migration(
    1, "one", "-- About.\n\nCREATE TABLE $database.one (a Int8) ENGINE = MergeTree ORDER BY a;\n"
)
SECOND = Migration(
    2, "two", "-- Two.\n\nCREATE TABLE $database.two (a Int8) ENGINE = MergeTree ORDER BY a;\n"
)


def of(client: Client, *migrations: Migration) -> Migrations:
    return Migrations(client, facts_hours=48, migrations=migrations)


def tables(client: Client) -> set[str]:
    return {name for (name,) in client.query("SHOW TABLES")}


def test_each_is_applied_once_and_only_what_is_new(empty: Client) -> None:
    assert [done for _, done in of(empty, FIRST).state()] == [None]
    assert list(of(empty, FIRST).apply()) == [FIRST]
    assert list(of(empty, FIRST).apply()) == []
    assert list(of(empty, FIRST, SECOND).apply()) == [SECOND]
    assert tables(empty) == {"migrations", "one", "two"}
    assert None not in [done for _, done in of(empty, FIRST, SECOND).state()]


def test_one_edited_after_it_was_applied_is_refused(empty: Client) -> None:
    list(of(empty, FIRST).apply())
    edited = Migration(1, "one", FIRST.text + "-- more\n")
    with pytest.raises(MigrationError, match="0001_one: was edited"):
        list(of(empty, edited, SECOND).apply())
    assert tables(empty) == {"migrations", "one"}


def test_a_database_of_a_newer_release_is_refused(empty: Client) -> None:
    list(of(empty, FIRST, SECOND).apply())
    with pytest.raises(MigrationError, match="0002: is applied"):
        of(empty, FIRST).state()


def test_a_dry_run_prints_statements_and_changes_nothing(empty: Client) -> None:
    migrations = of(empty, FIRST)
    (migration,) = migrations.pending()
    assert migrations.statements(migration) == [
        f"CREATE TABLE {empty.database}.one (a Int8) ENGINE = MergeTree ORDER BY a"
    ]
    with pytest.raises(ClickHouseError, match="UNKNOWN_DATABASE"):
        empty.query("SELECT 1")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("0001_a.sql", "0003_b.sql"), r"found \[1, 3\]"),
        (("0001_a.sql", "0001_b.sql"), r"found \[1, 1\]"),
        (("0001-a.sql",), "must be called like"),
    ],
)
def test_gaps_duplicates_and_bad_names_are_refused(
    tmp_path: Path, names: tuple[str, ...], problem: str
) -> None:
    for name in names:
        (tmp_path / name).write_text("-- Nothing.\n")
    with pytest.raises(MigrationError, match=problem):
        read(tmp_path)


def test_every_file_says_what_it_blocks_and_what_cannot_be_undone() -> None:
    for migration in read(FOLDER):
        assert "Blocks" in migration.about
        assert len(migration.about.splitlines()) > 1


def test_one_setting_makes_every_table_a_replicated_one(empty: Client) -> None:
    migrations = Migrations(empty, facts_hours=48, replicated=True)
    engines = [
        word
        for migration in read(FOLDER)
        for statement in migrations.statements(migration)
        for word in statement.split()
        if word.split("(")[0].endswith("MergeTree")
    ]
    assert len(engines) == 6
    assert all(engine.startswith("Replicated") for engine in engines)


def test_the_views_are_those_that_analysts_are_granted(admin: Client) -> None:
    views = admin.query(
        "SELECT name, comment FROM system.tables"
        " WHERE database = currentDatabase() AND engine = 'View'"
    )
    assert {name for name, _ in views} == {*VIEWS, "published", "paths"}
    assert all(comment for _, comment in views)
    located = {name for name, comment in views if "https://db-ip.com" in comment}
    assert located == {"countries_daily", "cities_daily", "cities_hourly"}


def test_the_facts_are_kept_as_long_as_the_setting_says(admin: Client) -> None:
    list(Migrations(admin, facts_hours=72).apply())
    ((definition,),) = admin.query("SHOW CREATE TABLE facts")
    assert "TTL loaded_at + toIntervalHour(72)" in definition
