"""A migrated database of its own for each test, and events to fill it with."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from sinks.clickhouse.client import Client
from sinks.clickhouse.connect import connect
from sinks.clickhouse.facts import FactsWriter
from sinks.clickhouse.migrate import Migrations
from sinks.clickhouse.statistics import Statistics
from streams.settings import ClickHouse, Settings

Event = dict[str, Any]
FACTS_HOURS = 48
DAY = datetime(2024, 2, 28, tzinfo=UTC)


@dataclass(frozen=True)
class Rules:
    """Rules with a small k, so that a few hundred visitors reach every case."""

    k: int = 5
    rounding: int = 5
    grace_minutes: int = 30
    settle_seconds: int = 60
    facts_hours: int = FACTS_HOURS


@pytest.fixture
def place(settings: Settings, clickhouse_server: object) -> ClickHouse:
    """Where ClickHouse is, with a database that nobody else has."""
    del clickhouse_server
    return settings.clickhouse.model_copy(update={"database": f"lethe_{secrets.token_hex(6)}"})


@pytest.fixture
def empty(place: ClickHouse, settings: Settings) -> Iterator[Client]:
    """``admin`` in a database that does not exist yet."""
    with connect(place, "admin", settings.secrets) as client:
        yield client
        client.create_database()
        client.execute(f"DROP DATABASE {client.database} SYNC")


@pytest.fixture
def admin(empty: Client) -> Client:
    """``admin`` in a migrated database."""
    list(Migrations(empty, facts_hours=FACTS_HOURS).apply())
    return empty


@pytest.fixture
def another(admin: Client, place: ClickHouse, settings: Settings) -> Callable[[], Client]:
    """Connect once more to the same database."""
    del admin
    return lambda: connect(place, "admin", settings.secrets)


@pytest.fixture
def facts(admin: Client) -> FactsWriter:
    return FactsWriter(admin)


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
def statistics(admin: Client, rules: Rules) -> Statistics:
    return Statistics(admin, rules)


@pytest.fixture
def event() -> Callable[..., Event]:
    """Make an event; ids are made up unless given, the rest is the dullest there is."""
    made = Random(1)

    def make(**fields: Any) -> Event:
        return {
            "event_id": str(UUID(int=made.getrandbits(128), version=4)),
            "occurred_at": DAY + timedelta(hours=9),
            "site": "shop.example",
            "type": "page_view",
            "name": "",
            "page": "/",
            "referrer": "",
            "search_terms": "",
            "status": 0,
            "country": "DE",
            "city": "Ulm",
            "browser": "Firefox",
            "browser_version": "140",
            "bot": False,
            "visitor": made.getrandbits(62),
        } | fields

    return make


@pytest.fixture
def columns() -> Callable[[Sequence[Event]], Mapping[str, pa.Array]]:
    """Turn events into the columns that the load lane hands over."""

    def turn(events: Sequence[Event]) -> Mapping[str, pa.Array]:
        table = pa.Table.from_pylist(list(events)).combine_chunks()
        moments = table["occurred_at"].cast(pa.timestamp("ms", "UTC"))
        table = table.set_column(table.column_names.index("occurred_at"), "occurred_at", moments)
        return {name: table[name].combine_chunks() for name in table.column_names}

    return turn


@pytest.fixture
def load(
    facts: FactsWriter, columns: Callable[[Sequence[Event]], Mapping[str, pa.Array]]
) -> Callable[[Sequence[Event]], None]:
    """Load events as the lane does, each call a range of its own."""

    def write(events: Sequence[Event]) -> None:
        facts.write(columns(events), f"topic:0:{secrets.token_hex(6)}")

    return write


@pytest.fixture
def load_at(admin: Client) -> Callable[[Iterable[Event], datetime], None]:
    """Load events as if at another time."""

    def write(events: Iterable[Event], loaded_at: datetime) -> None:
        rows = [{**each, "loaded_at": loaded_at} for each in events]
        admin.insert_rows(
            "facts",
            list(rows[0]),
            [list(row.values()) for row in rows],
            token=secrets.token_hex(6),
        )

    return write
