"""Closes days: counts them, withholds what is too small, and publishes the rest (S11, S12).

A day of a site (UTC) is closed when it is over, the grace for late events too, and nothing of it
was loaded for a while. What is published is a new revision, and one row in ``periods`` puts it in
force; so readers see the old one or the new one, and of two closers at once the last wins.

Events that come after the close are published by rebuilding the day, but only if they come from
at least ``k`` visitors (who compares the two revisions must not see fewer) and only while every
event of the day is still kept. Otherwise they are counted as late, and the statistics stay.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol

from privacy.disclosure import Cell, Path, publish, select
from sinks.clickhouse.cells import Facts
from sinks.clickhouse.client import Client

# The facts' TTL takes the first of them away at its hour; a rebuild must be over well before.
MARGIN: Final = timedelta(hours=2)

# A closer puts its revision in force at once; one that is not in force after this never will be.
SUPERSEDED_MINUTES: Final = 10

_ALL: Final = datetime(2100, 1, 1, tzinfo=UTC)

_CHANGED: Final = """\
SELECT site, day, revision, closed_at, published_to, seen_to, facts_from, late_events,
    taken >= closed_at AS incomplete, first, last
FROM
(
    SELECT site, toDate(occurred_at) AS day, min(loaded_at) AS first, max(loaded_at) AS last
    FROM facts
    GROUP BY site, day
) AS loaded
LEFT JOIN (SELECT * FROM periods FINAL) AS closed USING (site, day)
LEFT JOIN (SELECT site, day, max(taken_at) AS taken FROM facts_taken GROUP BY site, day) AS taken
    USING (site, day)
WHERE last > seen_to
    AND toUnixTimestamp(last) + %(settle)s < %(now)s
    AND toUnixTimestamp(toDateTime(day + 1, 'UTC')) + %(grace)s < %(now)s
ORDER BY site, day"""

_RECOUNTABLE: Final = """\
SELECT site, day, revision, closed_at, published_to, seen_to, facts_from, late_events
FROM (SELECT * FROM periods FINAL) AS closed
LEFT JOIN (SELECT site, day, max(taken_at) AS taken FROM facts_taken GROUP BY site, day) AS taken
    USING (site, day)
WHERE facts_from > toDateTime(%(oldest)s, 'UTC') AND taken < closed_at
ORDER BY site, day"""

_IN_FORCE: Final = """\
SELECT tree, path, other, visitors, events
FROM statistics
WHERE site = %(site)s AND day = %(day)s AND revision = %(revision)s"""

_SUPERSEDED: Final = """\
SELECT DISTINCT revision
FROM statistics
WHERE made_at <= now() - toIntervalMinute(%(minutes)s)
    AND (site, day, revision) NOT IN (SELECT site, day, revision FROM periods FINAL)"""

Figure = tuple[str, tuple[str, ...], bool, int, int]
"""A published row of a day: tree, path, whether it is the rest, visitors, events."""


class Rules(Protocol):
    """How statistics are made."""

    @property
    def k(self) -> int:
        """Visitors a shown cell has at least."""
        ...

    @property
    def rounding(self) -> int:
        """Figures are multiples of this."""
        ...

    @property
    def grace_minutes(self) -> int:
        """How long a day waits for late events."""
        ...

    @property
    def settle_seconds(self) -> int:
        """How long nothing of the day must have been loaded."""
        ...

    @property
    def facts_hours(self) -> int:
        """How long facts are kept."""
        ...


@dataclass(frozen=True, slots=True)
class Period:
    """A row of ``periods``; ``revision`` 0: the day was never closed."""

    site: str
    day: date
    revision: int
    closed_at: datetime
    published_to: datetime
    seen_to: datetime
    facts_from: datetime
    late_events: int


class Statistics:
    """The statistics of one database. ``client`` is ``writer``."""

    def __init__(self, client: Client, rules: Rules) -> None:
        self._client = client
        self._rules = rules
        # How long after a day's first load all of its facts are there.
        self._complete = timedelta(hours=rules.facts_hours) - MARGIN

    def now(self) -> int:
        """Return the time by ClickHouse's clock, in milliseconds since 1970."""
        return self._client.time() * 1000

    def close_ready(self, now: int) -> Iterator[tuple[str, date]]:
        """Close each site's days that are ready; yield those published, for the first time or anew.

        ``now`` is in milliseconds since 1970, by ClickHouse's clock, by which facts come and go.
        """
        moment = _moment(now)
        published = False
        for *known, incomplete, first, last in self._client.query(
            _CHANGED,
            {
                "now": now // 1000,
                "settle": self._rules.settle_seconds,
                "grace": self._rules.grace_minutes * 60,
            },
        ):
            period = replace(Period(*known), seen_to=last)
            if self._close(period, first, moment, incomplete=bool(incomplete)):
                published = True
                yield period.site, period.day
        if published:
            self.remove_superseded()

    def reconcile(self, now: int) -> Iterator[tuple[str, date]]:
        """Recount the closed days whose facts are all there; yield those rebuilt for a difference.

        Late events that were not published stay out. ``now`` as for ``close_ready``.
        """
        moment = _moment(now)
        oldest = int((moment - self._complete).timestamp())
        for row in self._client.query(_RECOUNTABLE, {"oldest": oldest}):
            period = Period(*row)
            figures = self._figures(period)
            if figures != self._in_force(period):
                self._publish(period, figures, moment)
                yield period.site, period.day

    def before_suppression(self, site: str, day: date) -> dict[str, dict[Path, Cell]]:
        """Count every cell of each tree exactly, as a recount wants it. Nothing for an analyst."""
        return Facts(self._client, site, day, _ALL).cells(self._rules.k)

    def remove_superseded(self, minutes: int = SUPERSEDED_MINUTES) -> None:
        """Delete revisions that are older than ``minutes`` and not in force."""
        rows = self._client.query(_SUPERSEDED, {"minutes": minutes})
        if rows:
            self._client.execute(
                "ALTER TABLE statistics DELETE WHERE revision IN %(revisions)s",
                {"revisions": [revision for (revision,) in rows]},
            )

    def _close(
        self, period: Period, first: datetime, moment: datetime, *, incomplete: bool
    ) -> bool:
        """Publish what is loaded up to ``seen_to``; or, if the rule forbids, only note it.

        ``incomplete``: facts were taken away since the day was closed.
        """
        if period.revision:
            facts = Facts(self._client, period.site, period.day, period.seen_to)
            visitors, late = facts.late(period.published_to)
            expired = moment >= period.facts_from + self._complete
            if visitors < self._rules.k or expired or incomplete:
                self._write(replace(period, late_events=late))
                return False
        else:
            period = replace(period, facts_from=first)
        period = replace(period, published_to=period.seen_to, late_events=0)
        self._publish(period, self._figures(period), moment)
        return True

    def _figures(self, period: Period) -> list[Figure]:
        """Make what may be shown of the facts loaded up to ``published_to``, in order."""
        facts = Facts(self._client, period.site, period.day, period.published_to)
        trees = facts.cells(self._rules.k)
        selections = {tree: select(cells, self._rules.k) for tree, cells in trees.items()}
        overlaps = facts.overlaps({tree: chosen.rests for tree, chosen in selections.items()})
        return sorted(
            (tree, row.path, row.other, row.visitors, row.events)
            for tree, cells in trees.items()
            for row in publish(cells, selections[tree], overlaps[tree], self._rules.rounding)
        )

    def _in_force(self, period: Period) -> list[Figure]:
        rows = self._client.query(
            _IN_FORCE, {"site": period.site, "day": period.day, "revision": period.revision}
        )
        return sorted(
            (tree, tuple(path), other, visitors, events)
            for tree, path, other, visitors, events in rows
        )

    def _publish(self, period: Period, figures: list[Figure], moment: datetime) -> None:
        """Write a new revision, then put it in force."""
        revision = secrets.randbelow(2**63 - 1) + 1
        if figures:
            self._client.insert_rows(
                "statistics",
                ("site", "day", "revision", "tree", "path", "other", "visitors", "events"),
                [(period.site, period.day, revision, *figure) for figure in figures],
                token=f"statistics:{revision}",
            )
        self._write(replace(period, revision=revision, closed_at=moment))

    def _write(self, period: Period) -> None:
        names = [field.name for field in fields(period)]
        self._client.insert_rows(
            "periods",
            names,
            [[getattr(period, name) for name in names]],
            token=f"periods:{secrets.token_hex(16)}",
        )


def _moment(now: int) -> datetime:
    return datetime.fromtimestamp(now / 1000, UTC)
