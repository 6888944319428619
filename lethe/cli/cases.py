"""``lethe cases``: what one department reads of its cases, with its own token (S2)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe.cli.policy import Format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lethe.case_reader import Case
    from streams.settings import Settings

command = typer.Typer(help="Show a department's cases, with the department's token.")

_SHOWN = ("case_id", "service", "group", "state", "received_at")


@command.command()
def cases(
    department: Annotated[
        str, typer.Argument(help="A department of the policy.", metavar="DEPARTMENT")
    ],
    *,
    service: Annotated[str | None, typer.Option(help="This service's alone.")] = None,
    state: Annotated[str | None, typer.Option(help="Those in this state alone.")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="The department's token; default: <secrets>/departments/DEPARTMENT."),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show the cases that a department may read, opened. Its key server must run.

    Every key that is asked for is written down; lethe keys uses shows it.

    Example: lethe cases marketing --service sample-request
    """
    from lethe.cli.common import errors_told
    from streams.settings import load

    with errors_told("cases"):
        found = present(load(), department, token_file)
    wanted = [
        each
        for each in sorted(found.values(), key=lambda case: case.received_at)
        if service in {None, each.service} and state in {None, each.state}
    ]
    if output is Format.JSON:
        typer.echo(json.dumps([_row(each) | {"fields": dict(each.fields)} for each in wanted]))
    elif wanted:
        from lethe.cli.rows import print_rows

        rows = [
            {name: row[name] for name in _SHOWN} | {"fields": _lines(each.fields)}
            for each, row in ((each, _row(each)) for each in wanted)
        ]
        print_rows(rows, f"Cases of {department}")
    if not wanted:
        typer.echo(f"{department} has no such case", err=True)


def present(settings: "Settings", department: str, token_file: Path | None) -> "Mapping[str, Case]":
    """Return a department's cases by id, opened. Raise SettingsError and OSError."""
    from lethe.case_reader import CaseReader
    from lethe.cli.readers import reading

    with reading(CaseReader, settings, department, token_file) as reader:
        return reader.present()


def _lines(fields: "Mapping[str, str]") -> str:
    return "\n".join(f"{name}: {value}" for name, value in fields.items())


def _row(case: "Case") -> "dict[str, Any]":
    """Return a case without its fields, times as ISO 8601."""
    row = {name: getattr(case, name) for name in case.__slots__ if name != "fields"}
    for name in ("received_at", "changed_at"):
        row[name] = row[name].isoformat(timespec="seconds")
    return row
