"""Visitors' facts in memory, for tests and for trying out without ClickHouse."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from sinks.clickhouse.visitors import Hashed

SiteDay = tuple[str, date]


class Fact(NamedTuple):
    """One event, and whose it is."""

    event_id: str
    whose: Hashed


class MemoryFacts:
    """Implements ``VisitorFacts``; ``closed`` are the days of sites that are published."""

    def __init__(self) -> None:
        self.counted: set[Fact] = set()
        self.held: dict[str, set[Fact]] = {}
        self.closed: set[SiteDay] = set()

    def erase(self, who: Collection[Hashed]) -> int:
        """Delete facts; see ``VisitorFacts``."""
        self.counted -= self._of(who)
        return 0

    def hold(self, hold_id: str, who: Collection[Hashed]) -> None:
        """Move facts out of what is counted; see ``VisitorFacts``."""
        found = self._of(who)
        self.held.setdefault(hold_id, set()).update(found)
        self.counted -= found

    def release(self, hold_ids: Collection[str]) -> None:
        """Give held facts back to be counted; see ``VisitorFacts``."""
        for hold_id in hold_ids:
            back = self.held.pop(hold_id, set())
            self.counted |= {
                each for each in back if (each.whose.site, each.whose.day) not in self.closed
            }

    def discard(self, hold_ids: Collection[str]) -> int:
        """Delete held facts; see ``VisitorFacts``."""
        for hold_id in hold_ids:
            self.held.pop(hold_id, None)
        return 0

    def read(self, who: Collection[Hashed]) -> Sequence[Mapping[str, Any]]:
        """Return facts; see ``VisitorFacts``. Memory knows of a fact its day alone."""
        held = {fact for some in self.held.values() for fact in some if fact.whose in set(who)}
        return [
            {
                "occurred_at": (each.whose.day - date(1970, 1, 1)).days * 86_400_000,
                "event_id": each.event_id,
                "site": each.whose.site,
            }
            for each in sorted(self._of(who) | held, key=lambda each: (each.whose.day, *each))
        ]

    def gone(self, at: int) -> bool:
        """Memory keeps no old parts."""
        return at >= 0

    def _of(self, who: Collection[Hashed]) -> set[Fact]:
        wanted = set(who)
        return {each for each in self.counted if each.whose in wanted}
