"""The facts of one visitor: erased, held out of the statistics, and let go again (S20, S21).

Facts name nobody. A visitor's are found by the daily hash, while the salt that makes it exists;
afterwards nobody can find them, and they are nobody's.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple, Protocol

from privacy.pseudonym import Salt, visitor_hash
from sinks.clickhouse.client import Client, Table

DAYS_BACK: Final = 7
"""How old an event may be when it arrives, so that it is looked for. In days."""

_COLUMNS: Final = (
    "event_id, occurred_at, site, type, name, page, referrer, search_terms, status, country, city,"
    " browser, browser_version, bot, visitor, loaded_at"
)
# What a visitor is told of a fact: all that it says, by what reads it.
_READ: Final = {
    "occurred_at": "toUnixTimestamp64Milli(occurred_at) AS at",
    **{
        name: f"toString({name})"
        for name in (
            *(
                "event_id",
                "site",
                "type",
                "name",
                "page",
                "referrer",
                "search_terms",
                "status",
                "country",
            ),
            *("city", "browser", "browser_version"),
        )
    },
}
_EPOCH: Final = date(1970, 1, 1)
_SYNC: Final = {"mutations_sync": 2}
_THEIRS: Final = "(site, toDate(occurred_at), visitor) IN %(who)s"


class Hashed(NamedTuple):
    """A visitor of one site on one day (UTC) of the events."""

    site: str
    day: date
    visitor: int


class VisitorFacts(Protocol):
    """What can be done with visitors' facts. Each may be done again, and changes nothing then."""

    def erase(self, who: Collection[Hashed]) -> int:
        """Delete facts; return when that was done, in seconds since 1970 by the store's clock."""
        ...

    def hold(self, hold_id: str, who: Collection[Hashed]) -> None:
        """Move facts out of what is counted, and keep them until the hold is lifted."""
        ...

    def release(self, hold_ids: Collection[str]) -> None:
        """Give held facts back to be counted, or delete those of days that are closed."""
        ...

    def discard(self, hold_ids: Collection[str]) -> int:
        """Delete held facts; return as ``erase`` does."""
        ...

    def read(self, who: Collection[Hashed]) -> Sequence[Mapping[str, Any]]:
        """Return facts by column, also held ones, the oldest first; times in ms since 1970."""
        ...

    def gone(self, at: int) -> bool:
        """Tell whether no byte is left of what was deleted until ``at`` (``erase``)."""
        ...


def hashes(site: str, cookie_id: str, salts: Sequence[tuple[int, Salt]]) -> set[Hashed]:
    """Return what a visitor may be called in the facts.

    ``salts`` are those that exist, by their day (days since 1970). An event is hashed with the salt
    of the day it came in and with its own day: a little older, or ahead by the sender's clock.
    """
    return {
        Hashed(site, _EPOCH + timedelta(day), visitor_hash(salt, site, day, cookie_id, None, None))
        for came, salt in salts
        for day in range(came - DAYS_BACK, came + 2)
    }


class ClickHouseFacts:
    """Implements ``VisitorFacts``. ``client`` is ``eraser``."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def erase(self, who: Collection[Hashed]) -> int:
        """Delete facts; see ``VisitorFacts``."""
        found = self._found(who)
        if found:
            self._note_taken(found)
            self._delete("facts", _THEIRS, {"who": found})
            self._note_taken(found)
        return self._client.time()

    def hold(self, hold_id: str, who: Collection[Hashed]) -> None:
        """Move facts out of what is counted; see ``VisitorFacts``.

        Held first, then deleted by their ids: what was loaded in between stays for the next time.
        """
        found = self._found(who)
        if not found:
            return
        named = {"hold": hold_id, "who": found}
        self._note_taken(found)
        self._client.execute(
            f"INSERT INTO facts_held (hold_id, {_COLUMNS})"  # noqa: S608 - our own names
            f" SELECT %(hold)s, {_COLUMNS} FROM facts FINAL WHERE {_THEIRS}",
            named,
        )
        held = "event_id IN (SELECT event_id FROM facts_held WHERE hold_id = %(hold)s)"
        self._delete("facts", f"{_THEIRS} AND {held}", named)
        self._note_taken(found)

    def release(self, hold_ids: Collection[str]) -> None:
        """Give held facts back to be counted; see ``VisitorFacts``."""
        if hold_ids:
            self._client.execute(
                f"INSERT INTO facts ({_COLUMNS})"  # noqa: S608 - our own names
                f" SELECT {_COLUMNS} FROM facts_held FINAL WHERE hold_id IN %(holds)s"
                " AND (site, toDate(occurred_at)) NOT IN (SELECT site, day FROM periods)",
                {"holds": list(hold_ids)},
            )
            self.discard(hold_ids)

    def discard(self, hold_ids: Collection[str]) -> int:
        """Delete held facts; see ``VisitorFacts``."""
        if hold_ids:
            self._delete("facts_held", "hold_id IN %(holds)s", {"holds": list(hold_ids)})
        return self._client.time()

    def read(self, who: Collection[Hashed]) -> Sequence[Mapping[str, Any]]:
        """Return facts; see ``VisitorFacts``."""
        found = self._found(who, "facts") + self._found(who, "facts_held")
        if not found:
            return []
        rows = self._client.query(
            f"SELECT DISTINCT {', '.join(_READ.values())} FROM"  # noqa: S608 - our own names
            f" (SELECT {_COLUMNS} FROM facts FINAL WHERE {_THEIRS} UNION ALL"
            f" SELECT {_COLUMNS} FROM facts_held FINAL WHERE {_THEIRS}) ORDER BY occurred_at",
            {"who": found},
        )
        return [dict(zip(_READ, row, strict=True)) for row in rows]

    def gone(self, at: int) -> bool:
        """Tell whether no old part is left that was replaced until ``at``; see ``VisitorFacts``."""
        self._forget_statements()
        ((left,),) = self._client.query(
            "SELECT count() FROM system.parts WHERE database = currentDatabase()"
            " AND table IN ('facts', 'facts_held') AND NOT active"
            " AND toUnixTimestamp(remove_time) <= %(at)s",
            {"at": at},
        )
        return not left

    def _found(
        self, who: Collection[Hashed], table: str = "facts"
    ) -> tuple[tuple[str, str, int], ...]:
        """Return those of ``who`` that have facts."""
        if not who:
            return ()
        columns = {"site": "String", "day": "Date", "visitor": "Int64"}
        rows = self._client.query(
            f"SELECT DISTINCT site, toDate(occurred_at) AS day, visitor FROM {table}"  # noqa: S608
            " WHERE (site, toDate(occurred_at), visitor) IN (SELECT site, day, visitor FROM who)",
            table=Table("who", columns, [each._asdict() for each in who]),
        )
        return tuple((site, day.isoformat(), visitor) for site, day, visitor in rows)

    def _note_taken(self, found: Collection[tuple[str, str, int]]) -> None:
        """Let what is published of those days stay as it is.

        A day that were counted again without one visitor would tell of that visitor. Noted before,
        for whoever dies in between, and after, for whoever counted in between.
        """
        days = {(site, day) for site, day, _ in found}
        self._client.execute(
            "INSERT INTO facts_taken (site, day) SELECT each.1, toDate(each.2)"
            " FROM (SELECT arrayJoin(%(days)s) AS each)",
            {"days": sorted(days)},
        )

    def _delete(self, table: str, where: str, parameters: dict[str, Any]) -> None:
        self._client.query(f"ALTER TABLE {table} DELETE WHERE {where}", parameters, _SYNC)
        self._forget_statements()

    def _forget_statements(self) -> None:
        """Remove the files that say what was deleted: they name whom, and a hundred are kept."""
        self._client.execute(
            "KILL MUTATION WHERE database = currentDatabase()"
            " AND table IN ('facts', 'facts_held') AND is_done"
        )
