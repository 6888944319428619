"""Rows of a ledger or topic as commands show them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import typer

Row = Mapping[str, str | int | None]


def iso(moment: int | None) -> str | None:
    """Return milliseconds since 1970 as ISO 8601 in UTC."""
    if moment is None:
        return None
    text = datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def print_rows(rows: Sequence[Row], title: str) -> None:
    """Print rows under their names: what is in brackets is no markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row.values()))
    Console().print(table)


def tell_rows(
    rows: Sequence[Row], title: str, nothing: str, *, as_json: bool, err: bool = False
) -> None:
    """Print rows as JSON or as a table; where there are none, say ``nothing``, ``err``: aside."""
    if as_json:
        typer.echo(json.dumps(rows))
    elif rows:
        print_rows(rows, title)
    else:
        typer.echo(nothing, err=err)
