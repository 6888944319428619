import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sinks.clickhouse.client import MOST_ROWS, ClickHouseDownError, ClickHouseError, Client
from sinks.clickhouse.facts import FactsWriter, UnsafeTableError

pytestmark = pytest.mark.clickhouse

Event = dict[str, Any]
Columns = Callable[[Sequence[Event]], Mapping[str, pa.Array]]
MONTHS = [datetime(2024, month, 3, 12, tzinfo=UTC) for month in (1, 2, 3)]


def count(client: Client, table: str = "facts") -> int:
    ((found,),) = client.query(f"SELECT count() FROM {table}")
    return int(found)


def test_what_is_written_is_what_is_there(
    admin: Client, load: Callable[..., None], event: Callable[..., Event]
) -> None:
    events = [
        event(page="/größe\x00", search_terms="日本", visitor=-(2**63), bot=True, status=404),
        event(occurred_at=datetime(1999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), city=""),
    ]
    load(events)
    names = ", ".join(events[0])
    rows = admin.query(f"SELECT {names} FROM facts ORDER BY occurred_at DESC")
    assert rows == [tuple(each.values()) for each in events]


def test_the_same_range_twice_is_there_once(
    admin: Client, facts: FactsWriter, columns: Columns, event: Callable[..., Event]
) -> None:
    rows = columns([event() for _ in range(10)])
    facts.write(rows, "topic:0:0-9")
    facts.write(rows, "topic:0:0-9")
    facts.write(rows, "topic:0:10-19")
    assert count(admin) == 20
    assert count(admin, "facts FINAL") == 10


def test_a_range_of_several_months_is_there_once_in_each(
    admin: Client, facts: FactsWriter, columns: Columns, event: Callable[..., Event]
) -> None:
    rows = columns([event(occurred_at=MONTHS[i % 3]) for i in range(30)])
    for _ in range(3):
        facts.write(rows, "topic:0:0-29")
    assert count(admin) == 30


def test_a_range_that_broke_off_between_two_parts_is_completed(
    admin: Client, facts: FactsWriter, columns: Columns, event: Callable[..., Event]
) -> None:
    """ClickHouse commits a part a month: after a crash the first may be there and the rest not."""
    events = [event(occurred_at=MONTHS[i % 3]) for i in range(30)]
    facts.write(columns([each for each in events if each["occurred_at"] == MONTHS[1]]), "topic:0:0")
    assert count(admin) == 10
    facts.write(columns(events), "topic:0:0")
    assert count(admin) == 30


def test_one_insert_is_one_block(
    admin: Client, facts: FactsWriter, columns: Columns, event: Callable[..., Event]
) -> None:
    """Or a token would stand for the first block only."""
    admin.execute("SYSTEM STOP MERGES facts")
    one = columns([event()])
    rows = {name: pa.concat_arrays([column] * 200_000) for name, column in one.items()}
    facts.write(rows, "topic:0:0-199999")
    parts = admin.query(
        "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'facts'"
    )
    assert parts == [(200_000,)]
    facts.write(rows, "topic:0:0-199999")
    assert count(admin) == 200_000
    with pytest.raises(ValueError, match="one insert"):
        admin.insert_columns("facts", {"visitor": np.zeros(MOST_ROWS + 1)}, token="too many")


def test_of_an_event_that_comes_twice_the_first_load_counts(
    admin: Client, load_at: Callable[..., None], event: Callable[..., Event]
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    first = event(city="Ulm")
    load_at([first], now - timedelta(minutes=5))
    load_at([{**first, "city": "Bonn"}], now)
    assert admin.query("SELECT city, loaded_at FROM facts FINAL") == [
        ("Ulm", now - timedelta(minutes=5))
    ]


def test_a_table_that_forgets_tokens_is_refused(admin: Client, facts: FactsWriter) -> None:
    facts.check()
    admin.execute("ALTER TABLE facts MODIFY SETTING non_replicated_deduplication_window = 100")
    with pytest.raises(UnsafeTableError, match="deduplication_window"):
        facts.check()


def test_events_are_gone_after_their_hours(
    admin: Client, load_at: Callable[..., None], event: Callable[..., Event]
) -> None:
    now = datetime.now(UTC)
    load_at([event(city="Kept")], now - timedelta(hours=47))
    load_at([event(city="Gone")], now - timedelta(hours=49))
    admin.execute("OPTIMIZE TABLE facts FINAL")
    assert admin.query("SELECT city FROM facts") == [("Kept",)]


def test_events_go_by_themselves_within_the_time_of_their_merges(
    admin: Client, load_at: Callable[..., None], event: Callable[..., Event]
) -> None:
    """Nobody asks for a merge: one comes within what is set, here a second and not an hour.

    All lie in one part, which nothing but their age has merged, and go one after the other: the
    second has to wait for as long as is set after the first.
    """
    admin.execute("ALTER TABLE facts MODIFY SETTING merge_with_ttl_timeout = 1")
    now = datetime.now(UTC)
    load_at([event(city="Kept")], now - timedelta(hours=47))
    for seconds in (8, 16):
        load_at([event(city="Gone")], now - timedelta(hours=48) + timedelta(seconds=seconds))
    admin.execute("OPTIMIZE TABLE facts FINAL")
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and count(admin) > 1:
        time.sleep(0.5)
    assert admin.query("SELECT city FROM facts") == [("Kept",)]


def test_parts_that_merges_left_behind_are_swept_from_the_disk(
    admin: Client, load_at: Callable[..., None], event: Callable[..., Event]
) -> None:
    """The embedded engine never does it by itself; dropping a partition of no rows makes it."""
    admin.execute("ALTER TABLE facts MODIFY SETTING old_parts_lifetime = 0")
    for hours in (1, 49):
        load_at([event()], datetime.now(UTC) - timedelta(hours=hours))
    before = folders(admin)
    admin.execute("OPTIMIZE TABLE facts FINAL")
    deadline = time.monotonic() + 20
    while any(path.exists() for path in before) and time.monotonic() < deadline:
        admin.execute("ALTER TABLE facts DROP PARTITION ID 'none'")
        time.sleep(0.1)
    assert not any(path.exists() for path in before)
    assert count(admin) == 1


def folders(client: Client) -> list[Path]:
    rows = client.query(
        "SELECT path FROM system.parts WHERE database = currentDatabase() AND table = 'facts'"
    )
    return [Path(path) for (path,) in rows]


def test_an_error_names_a_code_and_no_value(admin: Client) -> None:
    with pytest.raises(ClickHouseError) as caught:
        admin.query("SELECT 'Erika Mustermann' FROM nowhere")
    assert str(caught.value) == "ClickHouse refused: UNKNOWN_TABLE (60)"
    assert caught.value.__cause__ is None


def test_a_server_that_is_away_is_an_outage_after_the_patience(unused_tcp_port: int) -> None:
    client = Client("127.0.0.1", unused_tcp_port, "lethe", "writer", "", patience=0.2)
    with pytest.raises(ClickHouseDownError):
        client.query("SELECT 1")


def test_a_lost_connection_is_made_again(admin: Client) -> None:
    assert admin.query("SELECT 1") == [(1,)]
    admin._driver.connection.socket.close()
    assert admin.query("SELECT currentDatabase()") == [(admin.database,)]
