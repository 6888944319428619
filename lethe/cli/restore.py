"""``lethe restore``: the ledger from a backup, with nobody in it who was erased since."""

from pathlib import Path
from typing import Annotated

import typer

command = typer.Typer(help="Restore the ledger from a backup; nobody erased since comes back.")


@command.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What lethe backup wrote.")],
    *,
    journal: Annotated[
        list[Path] | None,
        typer.Option(help="The journal of erasures of another host; may be given often."),
    ] = None,
    journal_lost: Annotated[
        bool,
        typer.Option(
            "--journal-lost",
            help="Go by the topics alone: some who were erased since may come back.",
        ),
    ] = False,
) -> None:
    """Put the ledger of FILE in its place, and do again all that was erased since.

    Stop collector, workers and key server first, on every host; the broker must run. It may be
    begun again when it breaks off; until it is done nothing else opens the ledger.

    Example: lethe restore /backups/ledger.tar
    """
    from lethe.cli.common import errors_told
    from lethe.cli.rows import iso
    from streams.restoring.archive import BackupError
    from streams.restoring.restore import restore as bring_back
    from streams.settings import SettingsError, load

    def tell(what: str) -> None:
        typer.echo(f"{what} ...", err=True)

    with errors_told("restore"):
        try:
            done = bring_back(load(), file, journal or (), journal_lost=journal_lost, tell=tell)
        except BackupError as error:
            raise SettingsError(str(error)) from None
    typer.echo(f"The ledger of {iso(done.made_at)} is in its place.")
    for what, many in done.redone.items():
        typer.echo(f"  done again: {many:,} {what.replace('_', ' ')}")
    for topic, many in done.reread.items():
        typer.echo(f"  read again: {many:,} messages of {topic}")
    for topic in done.gone:
        typer.echo(f"  lost: what {topic} no longer keeps of the time since")
    _list("cases that came since: nobody can read them; they are deleted", done.lost_cases)
    _list("cases rectified since, with their old values again: ask for it again", done.rectified)
    for many, what in (
        (done.erased_again, "erasures of visitors are begun again"),
        (done.still_held, "restrictions lifted since hold again; lift them again"),
        (done.uncertain, "events for ad providers may have been sent; see lethe deliveries"),
    ):
        if many:
            typer.echo(f"  {many:,} {what}")
    typer.echo("Start the worker, then the collector and the key server.")


def _list(what: str, ids: list[str]) -> None:
    if ids:
        typer.echo(f"  {len(ids):,} {what}:")
    for each in ids:
        typer.echo(f"    {each}")
