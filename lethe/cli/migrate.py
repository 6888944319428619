"""``lethe migrate``: ClickHouse's tables and views, numbered and forward only."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sinks.clickhouse.migrate import Migrations

command = typer.Typer(help="List, show or apply ClickHouse migrations.")


@command.command()
def migrate(
    *,
    listing: Annotated[
        bool, typer.Option("--list", help="Show each migration and when it was applied (default).")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the statements that --apply would run.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Apply what is pending.")] = False,
) -> None:
    """List, show or apply ClickHouse migrations. There is no way back but a backup."""
    # Imported here, so that ``lethe --help`` stays quick.
    from sinks.clickhouse.client import ClickHouseDownError, ClickHouseError
    from sinks.clickhouse.connect import connect
    from sinks.clickhouse.migrate import Migrations
    from sinks.migrations import MigrationError
    from streams.settings import load

    if listing + dry_run + apply > 1:
        raise typer.BadParameter("give one of --list, --dry-run and --apply")
    settings = load()
    try:
        admin = connect(settings.clickhouse, "admin", settings.secrets)
        migrations = Migrations(
            admin,
            facts_hours=settings.statistics.facts_hours,
            replicated=settings.clickhouse.replicated,
        )
        if apply:
            _apply(migrations)
        elif dry_run:
            _show(migrations)
        else:
            _list(migrations)
    except (ClickHouseDownError, ClickHouseError, MigrationError) as error:
        typer.echo(f"lethe migrate: {error}", err=True)
        raise typer.Exit(1) from None


def _list(migrations: "Migrations") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("number", "name", "applied (UTC)", "what it does", title="Migrations")
    for migration, applied_at in migrations.state():
        applied = f"{applied_at:%Y-%m-%d %H:%M:%S}" if applied_at else "[yellow]pending[/]"
        table.add_row(f"{migration.number:04}", migration.name, applied, migration.about)
    Console().print(table)


def _show(migrations: "Migrations") -> None:
    for migration in migrations.pending():
        typer.echo(f"-- {migration.number:04} {migration.name}")
        for statement in migrations.statements(migration):
            typer.echo(f"{statement};\n")


def _apply(migrations: "Migrations") -> None:
    applied = 0
    for migration in migrations.apply():
        applied += 1
        typer.echo(f"applied {migration.number:04} {migration.name}")
    if not applied:
        typer.echo("nothing to apply")
