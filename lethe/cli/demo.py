"""``lethe demo``: the main job once, from made-up visitors to a city table."""

from typing import Annotated

import typer

command = typer.Typer(help="Do the main job once on made-up traffic and show the city table.")


@command.command()
def demo(
    *,
    events: Annotated[int, typer.Option(min=1_000, help="How many events to send.")] = 20_000,
) -> None:
    """Start everything, send a day of made-up traffic over HTTP, and show what analysts see of it.

    The traffic is dated yesterday, so that its day can be closed at once. Data stay in ./.lethe;
    afterwards lethe up goes on with them.
    """
    import asyncio
    from datetime import UTC, datetime, timedelta
    from secrets import randbits

    from rich.console import Console

    from lethe.demo import Demo
    from lethe.local import EngineError
    from sinks.geo import GeoError
    from streams.settings import SettingsError

    console = Console()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    try:
        asyncio.run(Demo(console, yesterday, events, seed=randbits(32)).run())
    except (EngineError, GeoError, SettingsError) as error:
        console.print(f"lethe demo: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
