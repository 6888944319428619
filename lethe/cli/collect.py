"""``lethe collect``: the HTTP entrance as a process of its own."""

import sys
from typing import Annotated

import typer

command = typer.Typer(help="Run the HTTP collector.")


@command.command()
def collect(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")
    ] = None,
) -> None:
    """Run the HTTP collector until Ctrl-C. Defaults come from the settings."""
    import asyncio

    from streams.collector.server import serve
    from streams.logging import configure
    from streams.settings import SettingsError, load

    configure("collector")
    try:
        settings = load()
        asyncio.run(
            serve(
                settings,
                settings.collector.host if host is None else host,
                settings.collector.port if port is None else port,
                ready=lambda address: typer.echo(f"Collector: {address}"),
            )
        )
    except (SettingsError, OSError) as error:
        sys.exit(f"lethe collect: {error}")
