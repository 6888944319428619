"""Where refused messages are counted: one row each, however often it is delivered."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sinks.clickhouse.client import Client

COLUMNS: Final = ("id", "at", "topic", "processor", "step", "reason", "fields")


class RejectsTable:
    """The table ``rejects``. For one thread at a time, as its client is."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def write(self, letters: Sequence[Mapping[str, Any]]) -> None:
        """Store ``dead_letter`` records; return when that is durable. Raise ClickHouseDownError."""
        rows = [[letter[name] for name in COLUMNS] for letter in letters]
        token = f"rejects:{letters[0]['id']}:{letters[-1]['id']}:{len(letters)}"
        self._client.insert_rows("rejects", COLUMNS, rows, token=token)

    def count(self, processor: str, reason: str, since: int, until: int) -> int:
        """Return how many have times in [since, until), in milliseconds since 1970."""
        ((count,),) = self._client.query(
            "SELECT count() FROM rejects FINAL"
            " WHERE processor = %(processor)s AND reason = %(reason)s"
            " AND at >= fromUnixTimestamp64Milli(%(since)s)"
            " AND at < fromUnixTimestamp64Milli(%(until)s)",
            {"processor": processor, "reason": reason, "since": since, "until": until},
        )
        return int(count)

    def by_reason(self, since: int) -> list[tuple[str, str, int]]:
        """Return (processor, reason, messages) since a time in milliseconds, most first."""
        return [
            (processor, reason, count)
            for processor, reason, count in self._client.query(
                "SELECT processor, reason, count() AS messages FROM rejects FINAL"
                " WHERE at >= fromUnixTimestamp64Milli(%(since)s)"
                " GROUP BY processor, reason ORDER BY messages DESC, processor, reason",
                {"since": since},
            )
        ]
