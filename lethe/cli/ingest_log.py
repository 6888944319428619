"""``lethe ingest-log``: a web server's log as tracking events (S8)."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

command = typer.Typer(
    help="Publish a web server's log (Common or Combined Log Format).",
    rich_markup_mode="markdown",
)

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


@command.command()
def ingest_log(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The log, also .gz; -: stdin.")],
    *,
    site: Annotated[str, typer.Option(help="Site of the settings that the log is of.")],
    name: Annotated[
        str | None,
        typer.Option(
            help="Tells apart logs whose files have the same name, as those of two servers. "
            "Default: the file's name without suffixes."
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow/--once", help="Go on as the log grows and is rotated, from where it was left."
        ),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write every refused line's number and reason here.")
    ] = None,
) -> None:
    """Publish a web server's log, in Common or Combined Log Format, as tracking events.

    Each request becomes one event: an error, with its status, when that is 400 or more, else a
    page view; of whatever method and whatever was asked for. The address is shortened before it
    is published, user names are not read. Reading a log again, or its rotated or compressed copy,
    doubles nothing.

    Exit code 0 when anything was published or nothing was there, 1 when every line was refused,
    2 when file, settings or broker are not usable.

    Example: lethe ingest-log access.log --site shop.example
    """
    # Imported here, not above, so that other commands do not wait for it.
    import signal
    import time

    from lethe.cli.bulk import Bar, accounted, opened_input
    from lethe.intake import opened
    from lethe.logs.follow import Follower
    from lethe.logs.ingest import ingest, ingest_following, log_name
    from streams.settings import load

    path = Path(file)
    if follow and file == "-":
        raise typer.BadParameter("standard input cannot be followed")
    name = name or ("stdin" if file == "-" else log_name(path.name))
    if not re.fullmatch(NAME, name):
        raise typer.BadParameter("give a --name of letters, digits, . _ and -")
    with accounted("lethe ingest-log", report) as tally:
        settings = load()
        with opened(settings, site, tally, endless=follow, of_a_log=True) as intake:
            if follow:
                pressed = _ends(signal.SIGINT, signal.SIGTERM)

                def until_pressed(seconds: float) -> None:
                    time.sleep(seconds)
                    _end_if(pressed)

                follower = Follower(
                    path, site, name, lost=_warn, clock=time.monotonic, sleep=until_pressed
                )
                place_file = settings.data_dir / "logs-state" / f"{quote(site, '')}-{name}.json"
                with Bar(tally) as bar:

                    def advance() -> None:
                        bar.advance()
                        _end_if(pressed)

                    ingest_following(follower, place_file, intake, advance)
            else:
                with opened_input(file) as raw, Bar(tally, raw) as bar:
                    ingest(raw, site, name, intake, bar.advance)
    raise typer.Exit(1 if tally.refused and not tally.published else 0)


def _ends(*signals: int) -> list[int]:
    """Collect signals that end the command, for ``_end_if``.

    An exception out of a handler can fall into a callback of the interpreter, where it is lost.
    """
    import signal

    pressed: list[int] = []
    for each in signals:
        signal.signal(each, lambda number, _: pressed.append(number))
    return pressed


def _end_if(pressed: list[int]) -> None:
    """Raise KeyboardInterrupt once after a signal came."""
    if pressed:
        pressed.clear()
        raise KeyboardInterrupt


def _warn() -> None:
    typer.echo(
        "lethe ingest-log: the log was rotated out of its folder before its end was read; "
        "ingest that file too, with the same --name",
        err=True,
    )
