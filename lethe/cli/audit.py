"""``lethe audit``: search the disks for what must not be on them."""

import re
from pathlib import Path
from typing import Annotated

import typer

command = typer.Typer(help="Search the data folder for full addresses of a log.")


@command.command()
def audit(
    log: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A log whose addresses went in.")
    ],
    folder: Annotated[
        list[Path] | None,
        typer.Option(help="Folders to search (repeat it); default: the data folder."),
    ] = None,
) -> None:
    """Search every file of the data folder for the full addresses that LOG begins its lines with.

    Kafka's record batches and ClickHouse's blocks are opened. Addresses that equal their own
    shortened form are left out. Exit code 1 when something was found: the files are named, the
    addresses are not.

    Example: lethe audit access.log
    """
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from lethe.audit import search
    from lethe.audit.needles import Needles, readable
    from streams.settings import load

    folders = folder or [load().data_dir]
    with log.open("rb") as lines:
        words = (re.split(rb"\s", line, maxsplit=1)[0].decode("ascii", "replace") for line in lines)
        needles = Needles(word for word in words if readable(word))
    with Progress(transient=True) as bar:
        task = bar.add_task("searching", total=None)
        findings = search(folders, needles, lambda path: bar.update(task, description=path.name))
    table = Table("searched", "", title=f"Full addresses of {log.name}")
    table.add_row("addresses looked for", f"{len(needles.addresses):,}")
    table.add_row("left out, already short", f"{len(needles.left_out):,}")
    table.add_row("files", f"{findings.files:,}")
    table.add_row("bytes after opening", f"{findings.bytes:,}")
    for how, count in sorted(findings.opened.items()):
        table.add_row(f"  {how}", f"{count:,}")
    table.add_row("found", f"{len(findings.hits):,}")
    console = Console()
    console.print(table)
    for path, how, _ in sorted(findings.hits)[:20]:
        console.print(f"[red]found in[/] {path} ({how})", soft_wrap=True)
    if not findings.files:
        console.print(f"[red]nothing to search in {', '.join(map(str, folders))}[/]")
    raise typer.Exit(1 if findings.hits or not findings.files else 0)
