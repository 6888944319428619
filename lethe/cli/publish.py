"""``lethe publish``: tracking events from a file or standard input (S9)."""

from pathlib import Path
from typing import Annotated

import typer

command = typer.Typer(
    help="Publish events from a file or standard input.",
    rich_markup_mode="markdown",
)


@command.command()
def publish(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="-: standard input.")] = "-",
    *,
    site: Annotated[str, typer.Option(help="Site of the settings that the events are of.")],
    report: Annotated[
        Path | None, typer.Option(help="Write every refused line's number and reason here.")
    ] = None,
) -> None:
    """Publish tracking events, one JSON object a line, as the collector takes them.

    Refused lines are told by number, field and rule, and the rest goes on. The address in "ip" is
    shortened before it is published. Events without an "event_id" are counted again when the file
    is published again.

    Exit code 1 when a line was refused, 2 when file, settings or broker are not usable.

    Example: echo '{"type": "page_view", "page": "/"}' | lethe publish --site shop.example
    """
    # Imported here, not above, so that other commands do not wait for it.
    import uuid

    from lethe.cli.bulk import Bar, accounted, opened_input
    from lethe.intake import opened
    from lethe.jsonl import candidates
    from streams.settings import load

    def new_id() -> str:
        return str(uuid.uuid4())  # noqa: TID251 - the edge: ids are made here

    with accounted("lethe publish", report) as tally:
        settings = load()
        with (
            opened_input(file) as raw,
            opened(settings, site, tally, endless=False) as intake,
            Bar(tally, raw) as bar,
        ):
            intake.take_all(candidates(raw, new_id), bar.advance)
    raise typer.Exit(1 if tally.refused else 0)
