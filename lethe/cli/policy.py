"""``lethe policy``: check the policy file, show what it says, and print the Art. 30 register."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from privacy.policy import Policy

command = typer.Typer(
    help="Check the privacy policy file, show what it says, or print the Art. 30 register.",
    no_args_is_help=True,
)

File = Annotated[
    Path | None, typer.Argument(help="The policy; default: policy in the settings.", metavar="FILE")
]


class Format(StrEnum):
    """How it is printed."""

    TABLE = "table"
    JSON = "json"


class RegisterFormat(StrEnum):
    """How the register is printed."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


@command.command()
def check(file: File = None) -> None:
    """Say whether the policy can be used; if not, every problem with its line, and exit 1."""
    path = _path(file)
    policy = _load(path)
    sections = ("services", "departments", "holders", "lists", "purposes", "audiences", "providers")
    counted = ", ".join(f"{len(getattr(policy, each))} {each}" for each in sections)
    typer.echo(f"{path}: in order; version {policy.version}: {counted}")


@command.command()
def show(
    file: File = None,
    *,
    service: Annotated[str | None, typer.Option(help="One service, with its form.")] = None,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show who reads and gets what, on which consent, and when it is deleted.

    Example: lethe policy show policy.toml --service sample-request
    """
    policy = _load(_path(file))
    if service is not None and service not in policy.services:
        known = ", ".join(policy.services) or "there is none"
        typer.echo(f"no such service in the policy; those are: {known}", err=True)
        raise typer.Exit(2)
    if output is Format.JSON:
        part = policy if service is None else policy.services[service]
        typer.echo(part.model_dump_json())
        return
    from lethe.cli import policy_tables

    if service is not None:
        _print(*policy_tables.service(service, policy))
        return
    controller = policy.controller
    _print(f"{controller.name}, {controller.contact}", f"version {policy.version}")
    _print(*policy_tables.tables(policy))
    if not policy.providers:
        _print("No ad provider is told anything.")


@command.command()
def register(
    file: File = None,
    *,
    output: Annotated[
        RegisterFormat, typer.Option("--format", help="How to print it.")
    ] = RegisterFormat.TABLE,
) -> None:
    """Print the record of processing activities that Art. 30(1) GDPR wants.

    Example: lethe policy register policy.toml --format markdown > register.md
    """
    from lethe.cli import policy_register
    from privacy.policy.register import register as made

    it = made(_load(_path(file)))
    if output is RegisterFormat.JSON:
        typer.echo(policy_register.as_json(it))
    elif output is RegisterFormat.MARKDOWN:
        typer.echo(policy_register.markdown(it))
    else:
        _print(*policy_register.for_terminal(it))


@command.command()
def history(
    version: Annotated[
        str | None, typer.Argument(help="Print this version as it was.", metavar="VERSION")
    ] = None,
) -> None:
    """List the versions of the policy that were in force, or print one.

    A worker records its policy when it starts.

    Example: lethe policy history 2026-11-24
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from sinks.ledger import policies
    from streams.settings import load

    with errors_told("policy"), ledger_to_read(load()) as ledger, ledger.reading() as connection:
        recorded = policies.history(connection)
    if version is None:
        for each in recorded:
            since = datetime.fromtimestamp(each.recorded_at / 1000, UTC)
            typer.echo(f"{since:%Y-%m-%d %H:%M:%S}Z  {each.version}")
        return
    found = next((each for each in recorded if each.version == version), None)
    if found is None:
        typer.echo("this version was never in force; lethe policy history lists them", err=True)
        raise typer.Exit(1)
    typer.echo(found.text, nl=False)


def _print(*what: object) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for each in what:
        # What a policy says in brackets is no markup.
        console.print(Text(each) if isinstance(each, str) else each)


def _path(file: Path | None) -> Path:
    from streams.settings import SettingsError, load

    try:
        path = file or load().policy
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if path is None:
        typer.echo("no policy: name a FILE, or set policy in lethe.toml", err=True)
        raise typer.Exit(2)
    return path


def _load(path: Path) -> "Policy":
    # Imported here, so that ``lethe --help`` stays quick.
    from streams.policy import PolicyError, load

    try:
        return load(path)
    except PolicyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
