"""``lethe deletions``: how far deletions are, which are overdue, and what proves them (S3, S20)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe.cli.policy import Format

if TYPE_CHECKING:
    from lethe.cli.rows import Row
    from privacy.certificate import Receipt
    from sinks.ledger.deletion import Progress
    from streams.settings import Settings

command = typer.Typer(help="Show deletions, those that are overdue, and their certificates.")

Output = Annotated[Format, typer.Option("--format", help="How to print it.")]


@command.callback(invoke_without_command=True)
def deletions(
    context: typer.Context,
    *,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Those that are past their deadline; exit code 1.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 20,
    output: Output = Format.TABLE,
) -> None:
    """Show the latest deletions: when each step was done, and which holders have to answer still.

    Example: lethe deletions --overdue
    """
    if context.invoked_subcommand is not None:
        return
    from lethe.cli.common import errors_told, ledger_to_read
    from lethe.cli.rows import tell_rows
    from sinks.ledger import deletion
    from streams.settings import load
    from streams.shared import now

    with (
        errors_told("deletions"),
        ledger_to_read(load()) as ledger,
        ledger.reading() as connection,
    ):
        found = (
            deletion.overdue(connection, now(), limit)
            if overdue
            else deletion.latest(connection, limit)
        )
        said = deletion.receipts_of(connection, [each.deletion.deletion_id for each in found])
    rows = [_row(each, said[each.deletion.deletion_id]) for each in found]
    title, nothing = ("Deletions", "No deletions yet.")
    if overdue:
        title, nothing = ("Overdue deletions", "Nothing is overdue.")
    tell_rows(rows, title, nothing, as_json=output is Format.JSON)
    if overdue and rows:
        raise typer.Exit(1)


@command.command()
def certificate(
    either_id: Annotated[
        str, typer.Argument(help="The deletion, or its case.", metavar="DELETION_ID|CASE_ID")
    ],
    *,
    output: Output = Format.TABLE,
) -> None:
    """Print the certificate of a deletion: as people read it, or signed, as JSON.

    Example: lethe deletions certificate 5f0c6a9e-9f5b-4d0e-8a53-0d7b3b0f2a11 --format json
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from privacy.certificate import readable
    from sinks.ledger import deletion
    from streams.settings import load

    with (
        errors_told("deletions"),
        ledger_to_read(load()) as ledger,
        ledger.reading() as connection,
    ):
        found = deletion.show(connection, either_id)
    if found is None:
        _end("there is no such deletion")
    elif found.certificate is None:
        _end("it is not complete, so that there is no certificate yet; see lethe deletions")
    elif output is Format.JSON:
        typer.echo(json.dumps(found.certificate))
    else:
        typer.echo(readable(found.certificate["certificate"]), nl=False)


@command.command()
def verify(
    file: Annotated[
        typer.FileText, typer.Argument(help="A certificate as JSON; - for standard input.")
    ],
    *,
    key: Annotated[
        Path | None, typer.Option(help="The public key, in PEM; else this installation's.")
    ] = None,
) -> None:
    """Tell whether a certificate was signed with the key, and print what it says.

    Example: lethe deletions verify certificate.json --key public.pem
    """
    from lethe.cli.common import errors_told
    from privacy.certificate import canonical, readable
    from sinks.signing import SigningError
    from sinks.signing import verify as holds
    from streams.settings import SettingsError, load

    with errors_told("deletions"):
        public = _public(load()) if key is None else key.read_text()
        signed = _signed(file.read())
        try:
            true = holds(public, canonical(signed["certificate"]), signed["signature"])
        except SigningError as error:
            raise SettingsError(f"--key: {error}") from None
    if not true:
        _end("not signed with this key, or changed since")
    typer.echo(readable(signed["certificate"]))
    typer.echo("The signature holds.")


@command.command()
def key() -> None:
    """Print the public key that certificates are signed with, in PEM.

    Example: lethe deletions key > public.pem
    """
    from lethe.cli.common import errors_told
    from streams.settings import load

    with errors_told("deletions"):
        typer.echo(_public(load()), nl=False)


def _row(progress: "Progress", said: "Sequence[Receipt]") -> "Row":
    from lethe.cli.rows import iso
    from sinks.ledger.deletion import missing

    asked = progress.deletion
    return {
        "deletion_id": asked.deletion_id,
        "case_id": asked.case_id,
        "service": asked.service,
        "cause": asked.cause,
        "requested_at": iso(asked.requested_at),
        "unreadable_at": iso(progress.unreadable_at),
        "announced_at": iso(progress.announced_at),
        "completed_at": iso(progress.completed_at),
        "deadline": iso(asked.deadline),
        "waits_for": ", ".join(missing(asked, said)),
    }


def _public(settings: "Settings") -> str:
    from sinks.signing import Signer, SigningError
    from streams.settings import SettingsError

    try:
        return Signer.under(settings.secrets).public
    except SigningError as error:
        raise SettingsError(str(error)) from None


def _signed(text: str) -> Mapping[str, Any]:
    """Return a signed certificate. Raise SettingsError when it is none."""
    from streams.settings import SettingsError

    try:
        content: Any = json.loads(text)
        if isinstance(content["certificate"], dict) and isinstance(content["signature"], str):
            signed: Mapping[str, Any] = content
            return signed
    except (ValueError, TypeError, KeyError):
        pass
    raise SettingsError("this is no certificate; lethe deletions certificate prints one as JSON")


def _end(why: str) -> None:
    typer.echo(f"lethe deletions: {why}", err=True)
    raise typer.Exit(1)
