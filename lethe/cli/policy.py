"""``lethe policy``: check the policy file, and show what it says."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from privacy.policy import Audience, Policy, Provider

command = typer.Typer(
    help="Check the privacy policy file, or show who gets what on which consent.",
    no_args_is_help=True,
)

File = Annotated[
    Path | None, typer.Argument(help="The policy; default: policy in the settings.", metavar="FILE")
]


class Format(StrEnum):
    """How it is printed."""

    TABLE = "table"
    JSON = "json"


@command.command()
def check(file: File = None) -> None:
    """Say whether the policy can be used; if not, every problem with its line, and exit 1."""
    path = _path(file)
    policy = _load(path)
    typer.echo(
        f"{path}: in order; version {policy.version}, {len(policy.purposes)} purposes, "
        f"{len(policy.audiences)} audiences, {len(policy.providers)} providers"
    )


@command.command()
def show(
    file: File = None,
    *,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show the purposes, who gets what on which consent, and the audiences."""
    policy = _load(_path(file))
    if output is Format.JSON:
        typer.echo(policy.model_dump_json())
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text(f"{policy.controller.name}, {policy.controller.contact}"))
    console.print(Text(f"version {policy.version}"))
    for table in (_purposes(policy), _providers(policy), _audiences(policy)):
        if table.row_count:
            console.print(table)
    if not policy.providers:
        console.print("No ad provider is told anything.")


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


def _table(title: str, *columns: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_lines=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: "Table", *cells: str) -> None:
    """Add a row of plain text: what a policy says in brackets is no markup."""
    from rich.text import Text

    table.add_row(*map(Text, cells))


def _purposes(policy: "Policy") -> "Table":
    table = _table("Purposes", "purpose", "as visitors read it", "covers", "mode", "legal basis")
    for name, each in policy.purposes.items():
        _add(table, name, each.title, each.covers, each.mode, each.legal_basis)
    return table


def _providers(policy: "Policy") -> "Table":
    from privacy.ads import IDS

    table = _table(
        "Who gets what", "provider", "on consent to", "of sites", "is told", "with its ids"
    )
    for name, each in policy.providers.items():
        sites, told, ids = map("\n".join, (each.sites, _told(each), IDS[name]))
        _add(table, name, each.purpose, sites, told, ids)
    return table


def _told(provider: "Provider") -> Iterator[str]:
    if provider.pages:
        yield "pages visited"
    for conversion in provider.conversions:
        yield f"a visit to {conversion.page}, as {conversion.id}"
    for audience, name in provider.audiences.items():
        yield f"membership of {audience}, as {name}"
    if provider.user_agent:
        yield "the browser (raw user agent)"


def _audiences(policy: "Policy") -> "Table":
    table = _table("Audiences", "audience", "of sites", "who", "told to")
    for name, each in policy.audiences.items():
        told = [provider for provider, it in policy.providers.items() if name in it.audiences]
        _add(table, name, "\n".join(each.sites), "\n".join(_members(each)), "\n".join(told))
    return table


def _members(audience: "Audience") -> Iterator[str]:
    for page in audience.pages:
        yield f"visited {page}"
    for event in audience.events:
        yield f"did {event}"
