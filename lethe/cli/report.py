"""``lethe report``: what an analyst sees, as tables with bars, JSON or CSV."""

import csv
import json
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sinks.clickhouse.client import Client
    from streams.settings import Statistics

command = typer.Typer(help="Print statistics: cities, pages, referrers and more.")

ATTRIBUTION = "Cities: IP Geolocation by DB-IP, https://db-ip.com"
BAR = 24  # characters


class Kind(StrEnum):
    """What can be reported."""

    COUNTRIES = "countries"
    CITIES = "cities"
    PAGES = "pages"
    REFERRERS = "referrers"
    BROWSERS = "browsers"
    ERRORS = "errors"
    SEARCHES = "searches"


class Format(StrEnum):
    """How it is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


# The view and the columns between day and figures.
_VIEWS = {
    Kind.COUNTRIES: ("countries_daily", ("country",)),
    Kind.CITIES: ("cities_daily", ("country", "city")),
    Kind.PAGES: ("pages_daily", ("page",)),
    Kind.REFERRERS: ("referrers_daily", ("referrer",)),
    Kind.BROWSERS: ("browsers_daily", ("browser",)),
    Kind.ERRORS: ("errors_daily", ("status", "page")),
    Kind.SEARCHES: ("searches_daily", ("terms",)),
}

_ROWS = """\
SELECT site, day, {columns}, visitors, events
FROM {view}
WHERE day BETWEEN %(first)s AND %(last)s AND (%(site)s = '' OR site = %(site)s)
ORDER BY site, day, other, visitors DESC, events DESC, {columns}
LIMIT %(top)s BY site, day, other"""

_HOURS = """\
SELECT site, day, country, city, ifNull(toString(hour), '(other)'), visitors, events
FROM cities_hourly
WHERE (site, day, country, city) IN (
    SELECT site, day, country, city
    FROM cities_daily
    WHERE day BETWEEN %(first)s AND %(last)s AND (%(site)s = '' OR site = %(site)s) AND NOT other
    ORDER BY visitors DESC, country, city
    LIMIT %(top)s BY site, day
)
ORDER BY site, day, country, city, hour NULLS LAST"""

_DAYS = "SELECT site, min(day), max(day) FROM totals_daily GROUP BY site ORDER BY site"

DAY = ["%Y-%m-%d"]
EPOCH = date(1970, 1, 1)  # ClickHouse's first day

Rows = Sequence[Sequence[Any]]
"""Under the names of the columns; the last two are visitors and events."""


@command.command()
def report(
    kind: Annotated[Kind, typer.Argument(help="What to count.")],
    *,
    site: Annotated[str, typer.Option(help="One site only.")] = "",
    day: Annotated[
        datetime | None,
        typer.Option(formats=DAY, help="One day (UTC); default: the newest published."),
    ] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=DAY, help="From this day on.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=DAY, help="Up to this day.")
    ] = None,
    hourly: Annotated[bool, typer.Option(help="Cities by the hour.")] = False,
    top: Annotated[int, typer.Option(min=1, help="Rows a day.")] = 20,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Print what visitors did, as an analyst may see it: nothing about fewer than k visitors."""
    # Imported here, so that ``lethe --help`` stays quick.
    from sinks.clickhouse.client import ClickHouseDownError, ClickHouseError
    from sinks.clickhouse.connect import connect
    from streams.settings import load

    if day and (first or last):
        raise typer.BadParameter("give --day, or --from and --to")
    if hourly and kind is not Kind.CITIES:
        raise typer.BadParameter("--hourly is for cities")
    settings = load()
    try:
        analyst = connect(settings.clickhouse, "analyst", settings.secrets)
        published = _published(analyst, site)
        between = _between(published, day or first, day or last)
        columns, rows = _rows(analyst, kind, {"site": site, "top": top, **between}, hourly=hourly)
    except (ClickHouseDownError, ClickHouseError) as error:
        typer.echo(f"lethe report: {error}", err=True)
        raise typer.Exit(1) from None
    notes = _notes(settings.statistics, located=kind in {Kind.COUNTRIES, Kind.CITIES})
    if output is Format.JSON:
        _print_json(columns, rows, notes)
    elif output is Format.CSV:
        _print_csv(columns, rows)
    elif rows:
        _print_tables(kind, columns, rows, notes)
    if not rows:
        typer.echo(_why_empty(published, between, settings.statistics, datetime.now(UTC)), err=True)


def _published(analyst: "Client", site: str) -> list[tuple[date, date]]:
    """Return the first and last published day of each site, or of the one."""
    return [(since, until) for name, since, until in analyst.query(_DAYS) if site in {"", name}]


def _between(
    published: list[tuple[date, date]], first: datetime | None, last: datetime | None
) -> dict[str, date]:
    """Return the days to report: as asked for, or else the newest published one."""
    oldest = min((since for since, _ in published), default=EPOCH)
    newest = max((until for _, until in published), default=EPOCH)
    if first is None and last is None:
        return {"first": newest, "last": newest}
    return {
        "first": max(first.date(), EPOCH) if first else oldest,
        "last": max(last.date(), EPOCH) if last else newest,
    }


def _rows(
    analyst: "Client", kind: Kind, parameters: dict[str, Any], *, hourly: bool
) -> tuple[tuple[str, ...], Rows]:
    view, names = _VIEWS[kind]
    if hourly:
        statement, names = _HOURS, (*names, "hour")
    else:
        statement = _ROWS.format(view=view, columns=", ".join(names))
    return ("site", "day", *names, "visitors", "events"), analyst.query(statement, parameters)


def _notes(rules: "Statistics", *, located: bool) -> list[str]:
    rule = (
        f"Nothing is shown about fewer than {rules.k} visitors; figures are multiples of "
        f"{rules.rounding}. (other): what is withheld, together. Days and hours are UTC; who comes "
        "on two days is counted on both."
    )
    return [rule, ATTRIBUTION] if located else [rule]


def _print_json(columns: Sequence[str], rows: Rows, notes: list[str]) -> None:
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    typer.echo(json.dumps({"rows": found, "notes": notes}, default=str, ensure_ascii=False))


def _print_csv(columns: Sequence[str], rows: Rows) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _print_tables(kind: Kind, columns: Sequence[str], rows: Rows, notes: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for (site, day), group in groupby(rows, key=lambda row: (row[0], row[1])):
        shown = list(group)
        most = max(1, *(row[-2] for row in shown))
        table = Table(
            title=Text(f"{kind.value.capitalize()} of {site}, {day}"), title_justify="left"
        )
        for name in columns[2:-2]:
            table.add_column(name, overflow="fold")
        for name in columns[-2:]:
            table.add_column(name, justify="right")
        table.add_column("", width=BAR)
        for row in shown:
            *names, visitors, events = row[2:]
            table.add_row(
                *(Text(str(name)) for name in names),
                f"{visitors:,}",
                f"{events:,}",
                Text("█" * round(visitors / most * BAR), style="cyan"),
            )
        console.print(table)
    for note in notes:
        console.print(Text(note, style="dim"))


def _why_empty(
    published: list[tuple[date, date]], between: dict[str, date], rules: "Statistics", now: datetime
) -> str:
    """Say why there is nothing to show, and when there will be."""
    if published and min(published)[0] <= between["last"] <= max(until for _, until in published):
        return f"Nothing of this kind was done by {rules.k} visitors or more."
    midnight = datetime.combine(now.date() + timedelta(days=1), time.min, UTC)
    closes = midnight + timedelta(minutes=rules.grace_minutes)
    wait = closes - now
    hours, minutes = divmod(int(wait.total_seconds()) // 60, 60)
    return (
        f"Nothing is published yet for what you asked. Today's figures come when the day (UTC) is "
        f"closed, at {closes:%Y-%m-%d %H:%M} UTC, in {hours} h {minutes} min; those of days past, "
        f"{rules.settle_seconds} s after the last of their events was loaded. Days with fewer than "
        f"{rules.k} visitors are not shown."
    )
