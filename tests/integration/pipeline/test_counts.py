"""From a log to published statistics: every figure equals an independent count (S8, S9, S11)."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lethe.cli.ingest_log import command
from privacy.network import shorten
from privacy.urls import clean_page, clean_referrer
from sinks.clickhouse.statistics import Statistics
from sinks.geo.sample import SAMPLE_CITIES
from sinks.user_agents import parse
from streams import shared
from tests.real_log import REAL_LOG, needs_real_log

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse]

LINE = re.compile(r'(\S+) \S+ \S+ \[(.+?)\] "\S+ (\S+) \S+" (\d+) \S+ "(.*?)" "((?:[^"\\]|\\.)*)"')
KEPT = frozenset({"utm_source", "utm_medium", "utm_campaign"})
K, ROUNDING = 10, 5

Leaf = tuple[date, str, str, tuple[str, ...]]  # day, visitor, tree, path
Tree = dict[tuple[str, ...], tuple[set[str], int]]  # path: visitors, events


def leaves(lines: Iterable[str], city: Callable[[str], tuple[str, str]]) -> Iterable[Leaf]:
    """Read a log by other means than the product's: a regular expression and its groups."""
    for line in lines:
        found = LINE.match(line)
        assert found, "every line of these logs can be read"
        address, time, target, status, referrer, agent = found.groups()
        browser = parse(None if agent == "-" else agent)
        if browser.bot:
            continue
        moment = datetime.strptime(time, "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
        day, visitor = moment.date(), f"{address} {agent}"
        short = shorten(address)
        country, name = city(short) if short else ("", "")
        page = clean_page(target, KEPT) or "(unknown)"
        kind, item = ("error", f"{status} {page}") if int(status) >= 400 else ("page_view", page)
        origin = clean_referrer("" if referrer == "-" else referrer) or "(direct)"
        place = (country or "(unknown)", name or "(unknown)", f"{moment:%H}")
        yield day, visitor, "place", place
        yield day, visitor, "content", (kind, item)
        yield day, visitor, "source", (origin,)
        yield (
            day,
            visitor,
            "browser",
            (browser.family or "(unknown)", browser.version or "(unknown)"),
        )


def count(found: Iterable[Leaf]) -> dict[tuple[date, str], Tree]:
    """Count visitors and events of every cell on every level."""
    trees: dict[tuple[date, str], Tree] = defaultdict(lambda: defaultdict(lambda: (set(), 0)))
    for day, visitor, tree, path in found:
        for depth in range(len(path) + 1):
            visitors, events = trees[day, tree][path[:depth]]
            trees[day, tree][path[:depth]] = (visitors | {visitor}, events + 1)
    return trees


def shown(tree: Tree) -> set[tuple[tuple[str, ...], int, int]]:
    """Suppress and round by the published rule, written down as simply as it reads."""
    rows = set()

    def figure(number: int) -> int:
        return int(number / ROUNDING + 0.5) * ROUNDING

    def show(path: tuple[str, ...]) -> None:
        visitors, events = tree[path]
        rows.add((path, figure(len(visitors)), figure(events)))
        children = sorted(
            (p for p in tree if len(p) == len(path) + 1 and p[: len(path)] == path),
            key=lambda p: (len(tree[p][0]), p),
        )
        hidden = [p for p in children if len(tree[p][0]) < K]
        together: set[str] = set().union(*(tree[p][0] for p in hidden))
        if hidden and len(together) < K:
            hidden.append(next(p for p in children if p not in hidden))
        if hidden:
            together = set().union(*(tree[p][0] for p in hidden))
            total = sum(tree[p][1] for p in hidden)
            rows.add(((*path, "(other)"), figure(len(together)), figure(total)))
        for child in children:
            if child not in hidden:
                show(child)

    if len(tree[()][0]) >= K:
        show(())
    return rows


def compare(pipeline: Any, log: Path, city: Callable[[str], tuple[str, str]]) -> None:
    """Ingest the log with the command, run the lanes, close, and compare every single figure."""
    lines = log.read_text().splitlines()
    expected = count(leaves(lines, city))
    result = CliRunner(env=pipeline.environment).invoke(
        command, [str(log), "--site", "shop.example"]
    )
    assert result.exit_code == 0, result.output
    pipeline.load(len(lines))
    statistics = Statistics(
        shared.clickhouse(pipeline.settings, "writer"), pipeline.settings.statistics
    )
    pipeline.close_all(statistics)
    for (day, tree), cells in expected.items():
        counted = statistics.before_suppression("shop.example", day)[tree]
        assert {p: (c.visitors, c.events) for p, c in counted.items()} == {
            p: (len(visitors), events) for p, (visitors, events) in cells.items()
        }
        rows = pipeline.query(
            "SELECT path, visitors, events FROM published WHERE day = %(day)s AND tree = %(tree)s",
            {"day": day, "tree": tree},
        )
        assert {(tuple(p), v, e) for p, v, e in rows} == shown(cells)


def sample_city(short: str) -> tuple[str, str]:
    cities = {network.split("/")[0]: (country, city) for network, country, city in SAMPLE_CITIES}
    return cities.get(short, ("", ""))


def made_up_log(path: Path) -> None:
    """Write a log of three days and a few hundred visitors, some cities with very few."""
    rnd = random.Random(5)
    networks = [network.split("/")[0].removesuffix("::") for network, *_ in SAMPLE_CITIES]
    agents = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        r"\"odd\" agent",
    ]
    with path.open("w") as log:
        for _ in range(3000):
            network = networks[int(len(networks) * rnd.random() ** 3)]
            host = rnd.randrange(1, 40)
            address = f"{network}::{host:x}" if ":" in network else network[:-1] + str(host)
            time = (
                f"{rnd.choice([14, 15, 16])}/May/2026:{rnd.randrange(24):02}:10:0{rnd.randrange(9)}"
            )
            target = f"/{rnd.choice(['tea', 'coffee', 'cake'])}/{int(40 * rnd.random() ** 3)}?ref=x"
            status = rnd.choice([200, 200, 200, 304, 404, 500])
            referrer = rnd.choice(["-", "https://search.example/?q=tea", "https://a.example/x"])
            log.write(
                f'{address} - - [{time} +0200] "GET {target} HTTP/1.1" {status} 17 "{referrer}" '
                f'"{rnd.choice(agents)}"\n'
            )


def test_a_log_becomes_the_statistics_one_can_count_by_hand(pipeline: Any, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    made_up_log(log)
    compare(pipeline, log, sample_city)


@needs_real_log
def test_a_real_log_becomes_the_statistics_one_can_count_by_hand(pipeline: Any) -> None:
    """No city table is needed: that the networks' cities are right is a test of the table."""
    compare(pipeline, REAL_LOG, sample_city)
