"""Counts a day of a site: the trees that ``privacy.disclosure`` cuts, out of the view ``paths``."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from privacy.disclosure import Cell, Path, Rest
from sinks.clickhouse.client import Client, Table

_CELLS: Final = """\
SELECT
    tree,
    path,
    uniqExact(visitor) AS visitors,
    count() AS events,
    if(visitors < %(k)s, groupUniqArray(%(k)s)(visitor), []) AS members
FROM paths
WHERE site = %(site)s AND day = %(day)s AND loaded_at <= toDateTime(%(until)s, 'UTC')
GROUP BY tree, path"""

_OVERLAPS: Final = """\
SELECT tree, path, uniqExact(visitor)
FROM paths
WHERE site = %(site)s AND day = %(day)s AND loaded_at <= toDateTime(%(until)s, 'UTC')
    AND visitor IN (SELECT visitor FROM wanted)
    AND (tree, path, visitor) IN wanted
GROUP BY tree, path"""

_LATE: Final = """\
SELECT uniqExact(visitor), count()
FROM paths
WHERE site = %(site)s AND day = %(day)s AND loaded_at <= toDateTime(%(until)s, 'UTC')
    AND loaded_at > toDateTime(%(since)s, 'UTC')
    AND empty(path) AND tree = 'place'"""

_WANTED: Final = {"tree": "String", "path": "Array(String)", "visitor": "Int64"}

# The sorting key holds the day, so that no event lies in two partitions.
_SETTINGS: Final = {"do_not_merge_across_partitions_select_final": 1}


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a site's day (UTC), bots left out, that were loaded up to ``until``.

    An unknown visitor is visitor 0: all of them are one.
    """

    client: Client
    site: str
    day: date
    until: datetime

    def cells(self, k: int) -> dict[str, dict[Path, Cell]]:
        """Count every cell of every tree."""
        trees: dict[str, dict[Path, Cell]] = defaultdict(dict)
        for tree, path, visitors, events, members in self._query(_CELLS, {"k": k}):
            trees[tree][tuple(path)] = Cell(visitors, events, frozenset(members))
        return trees

    def overlaps(self, rests: Mapping[str, Sequence[Rest]]) -> dict[str, dict[Path, int]]:
        """Count for each rest, by tree, how many members are visitors of its large child too."""
        large = {
            (tree, rest.large): rest
            for tree, some in rests.items()
            for rest in some
            if rest.large is not None
        }
        shared = {tree: {rest.parent: 0 for rest in some} for tree, some in rests.items()}
        wanted = [
            {"tree": tree, "path": list(path), "visitor": visitor}
            for (tree, path), rest in large.items()
            for visitor in rest.members
        ]
        if wanted:
            for tree, path, visitors in self._query(
                _OVERLAPS, {}, Table("wanted", _WANTED, wanted)
            ):
                shared[tree][large[tree, tuple(path)].parent] = visitors
        return shared

    def late(self, since: datetime) -> tuple[int, int]:
        """Count visitors and events loaded after ``since``."""
        ((visitors, events),) = self._query(_LATE, {"since": int(since.timestamp())})
        return visitors, events

    def _query(
        self, statement: str, parameters: Mapping[str, Any], table: Table | None = None
    ) -> list[tuple[Any, ...]]:
        scope = {"site": self.site, "day": self.day, "until": int(self.until.timestamp())}
        return self.client.query(statement, {**scope, **parameters}, _SETTINGS, table)
