"""``lethe backup``: the ledger as a file, while everything runs."""

from pathlib import Path
from typing import Annotated

import typer

command = typer.Typer(help="Back the ledger up into a file.")

KEEP_DAYS = 35


@command.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Written anew, in the place of what is there.")],
    *,
    keep_days: Annotated[
        int, typer.Option(min=1, max=3650, help="For how long the journal of erasures is kept.")
    ] = KEEP_DAYS,
) -> None:
    """Write the ledger as it is at this moment to FILE, for its owner alone (docs/backup.md).

    No salt and no department's key is in it: keep those apart. Whoever has both reads all cases.
    Of the journal of erasures, days older than --keep-days are deleted; older backups are of no
    use then.

    Example: lethe backup /backups/ledger.tar
    """
    from lethe.cli.common import errors_told, open_ledger
    from lethe.cli.rows import iso
    from sinks.ledger.journal import Journal
    from streams.restoring.archive import BackupError
    from streams.restoring.backup import backup as make
    from streams.settings import SettingsError, load
    from streams.shared import Shared, erasures_folder

    with errors_told("backup"):
        settings = load()
        ledger = open_ledger(settings)
        try:
            manifest = make(Shared(settings, ledger), file)
        except BackupError as error:
            raise SettingsError(str(error)) from None
        finally:
            ledger.close()
        Journal(erasures_folder(settings)).forget(keep_days)
        size = file.stat().st_size
    typer.echo(f"{file}: the ledger at {iso(manifest.made_at)}, {size:,} bytes")
