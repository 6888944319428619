from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from sinks.clickhouse.client import Client
from sinks.clickhouse.statistics import Statistics
from tests.waiting import until

pytestmark = pytest.mark.clickhouse

Event = dict[str, Any]
Path = tuple[str, ...]
SITES = ("shop.example", "blog.example")
DAY = date(2024, 2, 28)
LOADED = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=10)
K = 5


def after(**span: float) -> int:
    """Return milliseconds of a time after the events were loaded."""
    return int((LOADED + timedelta(**span)).timestamp() * 1000)


def busy(event: Callable[..., Event], seed: int = 3, events: int = 3000) -> list[Event]:
    """Make traffic with a long tail: many small cities, quiet hours, rare pages, a few bots."""
    chance = Random(seed)

    def tail(size: int) -> int:
        return min(int(chance.paretovariate(0.9)), size)

    made = []
    for _ in range(events):
        city = tail(60)
        kind = chance.choices(["page_view", "click", "search", "error", "custom"], [9, 3, 2, 2, 1])
        made.append(
            event(
                site=chance.choice(SITES),
                occurred_at=datetime(2024, 2, 28, tzinfo=UTC)
                + timedelta(hours=int(chance.triangular(0, 48, 18)), minutes=chance.random()),
                type=kind[0],
                page=f"/{tail(40)}",
                name=chance.choice(["", "signup", "scroll"]),
                search_terms=chance.choice(["", "red shoes", f"term {tail(9)}"]),
                status=chance.choice([404, 500]),
                country=["", "DE", "FR", "LI", "MC"][city % 5],
                city=f"City {city}" if city % 7 else "",
                referrer=chance.choice(["", "https://a.example", f"https://{tail(30)}.example"]),
                browser=chance.choice(["Firefox", "Chrome", f"Rare {tail(12)}"]),
                browser_version=str(140 + tail(5)),
                bot=chance.random() < 0.1,
                visitor=chance.choice([0, *range(1, 400)]),
            )
        )
    return made


def leaves(one: Event) -> dict[str, Path]:
    """Say where an event belongs in each tree."""
    page = one["page"] or "(unknown)"
    item = {
        "search": one["search_terms"] or "(not kept)",
        "custom": one["name"] or "(unnamed)",
        "error": f"{one['status']} {page}",
    }.get(one["type"], page)
    country, city = one["country"] or "(unknown)", one["city"] or "(unknown)"
    return {
        "place": (country, city, f"{one['occurred_at']:%H}"),
        "content": (one["type"], item),
        "source": (one["referrer"] or "(direct)",),
        "browser": (one["browser"] or "(unknown)", one["browser_version"] or "(unknown)"),
    }


def of_day(events: Iterable[Event], site: str, day: date) -> list[Event]:
    return [
        one
        for one in events
        if one["site"] == site and one["occurred_at"].date() == day and not one["bot"]
    ]


def suppressed(pairs: list[tuple[Path, int]], path: Path = ()) -> Iterator[tuple[Path, int, int]]:
    """Suppress and round from events, written apart from what is tested."""

    def people(some: Iterable[tuple[Path, int]]) -> int:
        return len({visitor for _, visitor in some})

    def figure(exact: int) -> int:
        return int(exact / 5 + 0.5) * 5

    if people(pairs) < K:
        return
    yield path, figure(people(pairs)), figure(len(pairs))
    parts = defaultdict(list)
    for leaf, visitor in pairs:
        if len(leaf) > len(path):
            parts[leaf[len(path)]].append((leaf, visitor))
    hidden = {name for name, part in parts.items() if people(part) < K}
    together = [pair for name in hidden for pair in parts[name]]
    if hidden and people(together) < K:
        _, name = min((people(part), name) for name, part in parts.items() if name not in hidden)
        hidden.add(name)
        together += parts[name]
    if hidden:
        yield (*path, "(other)"), figure(people(together)), figure(len(together))
    for name in parts.keys() - hidden:
        yield from suppressed(parts[name], (*path, name))


def expected(events: Sequence[Event], site: str, day: date) -> list[tuple[Any, ...]]:
    return sorted(
        (tree, *row)
        for tree in ("place", "content", "source", "browser")
        for row in suppressed(
            [(leaves(one)[tree], one["visitor"]) for one in of_day(events, site, day)]
        )
    )


def shown(client: Client, site: str, day: date = DAY) -> list[tuple[Any, ...]]:
    rows = client.query(
        "SELECT tree, path, visitors, events FROM published"
        " WHERE site = %(site)s AND day = %(day)s",
        {"site": site, "day": day},
    )
    return sorted((tree, tuple(path), *figures) for tree, path, *figures in rows)


def period(client: Client) -> dict[str, Any]:
    names = ("published_to", "seen_to", "late_events")
    (row,) = client.query(f"SELECT {', '.join(names)} FROM periods FINAL")
    return dict(zip(names, row, strict=True))


def test_what_is_shown_equals_an_independent_count_and_suppression(
    admin: Client,
    statistics: Statistics,
    event: Callable[..., Event],
    load_at: Callable[..., None],
) -> None:
    events = busy(event)
    load_at(events, LOADED)
    load_at(events[::3], LOADED + timedelta(seconds=20))  # delivered twice
    closed = list(statistics.close_ready(after(minutes=5)))
    assert closed == [
        (site, day) for site in sorted(SITES) for day in (DAY, DAY + timedelta(days=1))
    ]
    for site, day in closed:
        rows = shown(admin, site, day)
        assert rows == expected(events, site, day)
        assert sum("(other)" in path for _, path, *_ in rows) > 10


def test_before_suppression_every_cell_equals_a_recount(
    statistics: Statistics, event: Callable[..., Event], load_at: Callable[..., None]
) -> None:
    events = busy(event)
    load_at(events, LOADED)
    cells = statistics.before_suppression(SITES[0], DAY)
    for tree, found in cells.items():
        seen: dict[Path, list[int]] = defaultdict(list)
        for one in of_day(events, SITES[0], DAY):
            leaf = leaves(one)[tree]
            for depth in range(len(leaf) + 1):
                seen[leaf[:depth]].append(one["visitor"])
        assert {path: (cell.visitors, cell.events) for path, cell in found.items()} == {
            path: (len(set(visitors)), len(visitors)) for path, visitors in seen.items()
        }
        for path, cell in found.items():
            assert cell.members == (set(seen[path]) if cell.visitors < K else set())


def test_a_day_waits_for_its_end_the_grace_and_quiet(
    statistics: Statistics, event: Callable[..., Event], load_at: Callable[..., None]
) -> None:
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    load_at([event(occurred_at=noon, visitor=n) for n in range(9)], noon)
    ends = noon + timedelta(hours=12, minutes=30)
    load_at([event(occurred_at=noon)], ends - timedelta(seconds=30))

    def closed(moment: datetime) -> list[tuple[str, date]]:
        return list(statistics.close_ready(int(moment.timestamp() * 1000)))

    assert closed(ends - timedelta(minutes=10)) == []  # grace
    assert closed(ends + timedelta(seconds=20)) == []  # not quiet for long enough
    assert closed(ends + timedelta(seconds=40)) == [("shop.example", noon.date())]
    assert closed(ends + timedelta(seconds=50)) == []  # once is enough


def test_a_day_with_fewer_than_k_visitors_is_closed_and_not_shown(
    admin: Client,
    statistics: Statistics,
    event: Callable[..., Event],
    load_at: Callable[..., None],
) -> None:
    load_at([event(visitor=n % (K - 1)) for n in range(50)], LOADED)
    load_at([event(bot=True) for _ in range(50)], LOADED)
    assert list(statistics.close_ready(after(minutes=5))) == [("shop.example", DAY)]
    assert shown(admin, "shop.example") == []


def test_late_events_of_k_visitors_rebuild_the_day(
    admin: Client,
    statistics: Statistics,
    event: Callable[..., Event],
    load_at: Callable[..., None],
) -> None:
    first = [event(visitor=n) for n in range(10)]
    late = [event(visitor=n, city="Bonn") for n in range(100, 100 + K)]
    load_at(first, LOADED)
    list(statistics.close_ready(after(minutes=5)))
    load_at(late, LOADED + timedelta(hours=1))
    assert list(statistics.close_ready(after(hours=2))) == [("shop.example", DAY)]
    assert shown(admin, "shop.example") == expected([*first, *late], "shop.example", DAY)
    assert period(admin)["late_events"] == 0


def test_late_events_of_fewer_are_counted_and_stay_out(
    admin: Client,
    statistics: Statistics,
    event: Callable[..., Event],
    load_at: Callable[..., None],
) -> None:
    first = [event(visitor=n) for n in range(10)]
    load_at(first, LOADED)
    list(statistics.close_ready(after(minutes=5)))
    load_at([event(visitor=n % (K - 1) + 50) for n in range(20)], LOADED + timedelta(hours=1))
    load_at([event(bot=True) for n in range(20)], LOADED + timedelta(hours=1))
    assert list(statistics.close_ready(after(hours=2))) == []
    assert list(statistics.reconcile(after(hours=2))) == []
    assert shown(admin, "shop.example") == expected(first, "shop.example", DAY)
    assert period(admin) == {
        "published_to": LOADED,
        "seen_to": LOADED + timedelta(hours=1),
        "late_events": 20,
    }
    # One more visitor, and together they are enough.
    more = [event(visitor=99)]
    load_at(more, LOADED + timedelta(hours=2))
    assert list(statistics.close_ready(after(hours=3))) == [("shop.example", DAY)]


def test_a_day_is_not_rebuilt_when_its_first_events_may_be_erased(
    admin: Client,
    statistics: Statistics,
    event: Callable[..., Event],
    load_at: Callable[..., None],
) -> None:
    first = [event(visitor=n) for n in range(10)]
    load_at(first, LOADED)
    list(statistics.close_ready(after(minutes=5)))
    before = shown(admin, "shop.example")
    admin.execute("TRUNCATE TABLE facts")  # as the TTL would
    load_at([event(visitor=n) for n in range(50)], LOADED + timedelta(hours=9))
    assert list(statistics.close_ready(after(hours=46, minutes=1))) == []
    assert list(statistics.reconcile(after(hours=46, minutes=1))) == []
    assert shown(admin, "shop.example") == before
    assert period(admin)["late_events"] == 50


def test_reconcile_rebuilds_what_differs_from_the_facts(
    admin: Client,
    statistics: Statistics,
    event: Callable[..., Event],
    load_at: Callable[..., None],
) -> None:
    events = busy(event, events=500)
    load_at(events, LOADED)
    list(statistics.close_ready(after(minutes=5)))
    assert list(statistics.reconcile(after(minutes=6))) == []
    admin.execute(
        "ALTER TABLE statistics UPDATE events = events + 5 WHERE site = 'blog.example'"
        " AND day = '2024-02-28' SETTINGS mutations_sync = 2"
    )
    assert list(statistics.reconcile(after(minutes=7))) == [("blog.example", DAY)]
    assert shown(admin, "blog.example") == expected(events, "blog.example", DAY)


def test_readers_see_one_revision_and_old_ones_are_removed(
    admin: Client,
    statistics: Statistics,
    event: Callable[..., Event],
    load_at: Callable[..., None],
) -> None:
    first = [event(visitor=n) for n in range(10)]
    load_at(first, LOADED)
    list(statistics.close_ready(after(minutes=5)))
    before = shown(admin, "shop.example")
    admin.execute(  # a closer that died before it put its revision in force
        "INSERT INTO statistics (site, day, revision, tree, path, visitors, events)"
        " SELECT site, day, 1, tree, path, 0, 0 FROM statistics"
    )
    assert shown(admin, "shop.example") == before
    load_at([event(visitor=n) for n in range(20, 30)], LOADED + timedelta(hours=1))
    list(statistics.close_ready(after(hours=2)))
    assert admin.query("SELECT uniqExact(revision) FROM statistics") == [(3,)]
    statistics.remove_superseded(minutes=0)
    revisions = "SELECT uniqExact(revision) FROM statistics"
    until(lambda: admin.query(revisions) == [(1,)], "the deletion")
    assert len(shown(admin, "shop.example")) == len(before)


def test_several_closers_at_once_leave_one_consistent_day(
    statistics: Statistics,
    another: Callable[[], Client],
    event: Callable[..., Event],
    load_at: Callable[..., None],
) -> None:
    events = busy(event, events=500)
    load_at(events, LOADED)

    def close(_: int) -> None:
        with another() as client:
            list(Statistics(client, statistics._rules).close_ready(after(minutes=5)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(close, range(4)))
    with another() as client:
        for site in SITES:
            assert shown(client, site) == expected(events, site, DAY)
    assert list(statistics.reconcile(after(minutes=6))) == []


def test_a_stricter_k_withdraws_what_it_forbids(
    admin: Client, rules: Any, event: Callable[..., Event], load_at: Callable[..., None]
) -> None:
    load_at([event(visitor=n) for n in range(8)], LOADED)
    list(Statistics(admin, rules).close_ready(after(minutes=5)))
    assert shown(admin, "shop.example")
    list(Statistics(admin, replace(rules, k=10)).reconcile(after(minutes=6)))
    assert shown(admin, "shop.example") == []
