"""``lethe simulate``: made-up traffic through the collector."""

import re
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from lethe.simulation import Summary

command = typer.Typer(help="Send made-up traffic through the collector.")

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if match is None or not float(match[1]):
        raise typer.BadParameter("write 90, 90s, 5m or 1h", param_hint="--for")
    return float(match[1]) * UNITS[match[2]]


def _day(text: str) -> date:
    today = datetime.now(UTC).date()
    if text in ("today", "yesterday"):
        return today - timedelta(days=text == "yesterday")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "write today, yesterday or YYYY-MM-DD", param_hint="--day"
        ) from None
    if day > today:
        raise typer.BadParameter("lies in the future", param_hint="--day")
    return day


@command.command()
def simulate(
    *,
    rate: Annotated[float, typer.Option(min=0.1, help="Events a second.")] = 200,
    lasting: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long: 90s, 5m or 1h.")
    ] = "60s",
    events: Annotated[
        int | None, typer.Option(min=1, help="How many, in place of --rate times --for.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of the collector; default: of the settings.")
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(
            metavar="DAY",
            help="Spread over that day (UTC): today, yesterday or YYYY-MM-DD. Default: now.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same traffic again; default: other traffic each time.")
    ] = None,
) -> None:
    """Send the traffic of made-up visitors to the sites of the settings, some of it junk.

    Ends with what the collector accepted and refused, and why. Ctrl-C ends it early.

    Example: lethe simulate --rate 300 --events 20000 --day yesterday
    """
    # Imported here, not above, so that other commands do not wait for it.
    import asyncio
    from secrets import randbits

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from lethe.simulation import Summary, UnreachableError, run
    from lethe.traffic import Traffic
    from sinks.geo.sample import SAMPLE_CITIES
    from streams.settings import SettingsError, load

    try:
        settings = load()
    except SettingsError as error:
        sys.exit(f"lethe simulate: {error}")
    url = url or f"http://{settings.collector.host}:{settings.collector.port}"
    start, end = _span(_day(day) if day else None, datetime.now(UTC))
    traffic = Traffic(
        randbits(32) if seed is None else seed,
        list(settings.sites),
        SAMPLE_CITIES,
        start=start,
        end=end,
        events=events or max(1, round(rate * _seconds(lasting))),
        dated=day is not None,
    )
    keys = {name: site.keys[0] for name, site in settings.sites.items()}
    console = Console()
    summary = Summary()
    failure = None
    with Progress(
        TextColumn("sending"),
        BarColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=len(traffic), said="")

        def show(now: Summary) -> None:
            nonlocal summary
            summary = now
            said = f"{now.accepted:,} accepted, {now.refused.total():,} refused, {now.rate:,.0f}/s"
            bar.update(task, completed=now.sent, said=said)

        try:
            asyncio.run(run(url, traffic, keys, rate=rate, on_progress=show))
        except KeyboardInterrupt:
            console.print("stopped")
        except UnreachableError as error:
            failure = f"{url}: {error}; start it with: lethe up"
    console.print(_table(summary))
    if failure:
        sys.exit(f"lethe simulate: {failure}")


def _span(day: date | None, now: datetime) -> tuple[int, int]:
    """Return begin and end of the traffic, in milliseconds since 1970."""
    if day is None:
        begin, end = now - timedelta(hours=1), now
    else:
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = min(begin + timedelta(days=1), now)
    return round(begin.timestamp() * 1000), round(end.timestamp() * 1000)


def _table(summary: "Summary") -> "Table":
    from rich.table import Table

    table = Table(title="What the collector said")
    table.add_column("answer")
    table.add_column("events", justify="right")
    table.add_row("accepted", f"{summary.accepted:,}")
    for reason, count in summary.refused.most_common():
        table.add_row(f"refused: {reason}", f"{count:,}")
    table.add_section()
    table.add_row("all", f"{summary.sent:,}")
    table.add_row("a second", f"{summary.rate:,.0f}")
    if summary.retries:
        table.add_row("sent again", f"{summary.retries:,}")
    return table
