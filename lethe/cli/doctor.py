"""``lethe doctor``: what this machine lacks, and how to get it."""

import typer

command = typer.Typer(help="Say what is missing on this machine and how to get it.")


@command.command()
def doctor() -> None:
    """Check what lethe up, the city tables and the Apache Kafka suites need.

    Exit code 1 when something that lethe up needs is missing.
    """
    from rich.console import Console
    from rich.table import Table

    from lethe.local.doctor import checks

    table = Table("", "what", "for", "state", "how to get it")
    missing = False
    for check in checks():
        mark = "[green]ok[/]" if check.good else "[red]missing[/]" if check.needed else "-"
        table.add_row(
            mark, check.what, check.wanted_for, check.state, "" if check.good else check.remedy
        )
        missing |= check.needed and not check.good
    Console().print(table)
    raise typer.Exit(int(missing))
