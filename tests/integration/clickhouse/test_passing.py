"""What ClickHouse says that is there but cannot work now: it is asked again, and soon answers."""

import time

import pytest
from clickhouse_driver.errors import ErrorCodes

from sinks.clickhouse.client import ClickHouseDownError, ClickHouseError, Client
from sinks.clickhouse.connect import connect
from streams.settings import Settings

pytestmark = [pytest.mark.clickhouse, pytest.mark.usefixtures("database")]

PASSING = ["ABORTED", "UNFINISHED", "TOO_MANY_PARTS", "MEMORY_LIMIT_EXCEEDED", "TABLE_IS_READ_ONLY"]


def refused(client: Client, code: int, seconds: float) -> list[tuple[int]]:
    """Ask what is answered with an error until so many seconds are over, and with 0 then."""
    return client.query(
        "SELECT throwIf(now64(3) < fromUnixTimestamp64Milli(toInt64(%(until)s)), 'later',"
        " toInt32(%(code)s))",
        {"until": int((time.time() + seconds) * 1_000), "code": code},
        {"allow_custom_error_code_in_throwif": 1},
    )


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_asked_again(settings: Settings, name: str) -> None:
    with connect(settings.clickhouse, "admin", settings.secrets) as client:
        assert refused(client, getattr(ErrorCodes, name), 0.3) == [(0,)]


def test_what_does_not_pass_within_the_patience_is_an_outage(settings: Settings) -> None:
    with (
        connect(settings.clickhouse, "admin", settings.secrets, patience=0.3) as client,
        pytest.raises(ClickHouseDownError, match="ABORTED"),
    ):
        refused(client, ErrorCodes.ABORTED, 60)


def test_what_never_passes_is_said_at_once(settings: Settings) -> None:
    with (
        connect(settings.clickhouse, "admin", settings.secrets, patience=60) as client,
        pytest.raises(ClickHouseError, match="UNKNOWN_TABLE"),
    ):
        refused(client, ErrorCodes.UNKNOWN_TABLE, 60)
