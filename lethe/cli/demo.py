"""``lethe demo``: the main job once, from made-up visitors to city table, ads and rights."""

from typing import Annotated

import typer

command = typer.Typer(
    help="Do the main job once on made-up traffic: statistics, ads with consent, deletion, rights."
)


@command.command()
def demo(
    *,
    events: Annotated[int, typer.Option(min=1_000, help="How many events to send.")] = 20_000,
) -> None:
    """Start everything, send a day of made-up traffic over HTTP, and show what analysts see of it.

    The traffic is dated yesterday, so that its day can be closed at once. Then invented visitors
    consent to ads and one withdraws, with stand-ins for the ad providers; one sends a form that is
    deleted when its service is done; one asks for all that is held, and to be forgotten. Exit code
    1 when somebody is told, or can read, what they must not. Data stay in ./.lethe; afterwards
    lethe up goes on with them.
    """
    import asyncio
    from datetime import UTC, datetime, timedelta
    from secrets import randbits

    from rich.console import Console

    from lethe.demo import Demo
    from lethe.demo_pipeline import DemoError
    from lethe.local import EngineError
    from lethe.simulation import UnreachableError
    from sinks.geo import GeoError
    from sinks.ledger.ledger import LedgerError
    from streams.policy import PolicyError
    from streams.settings import SettingsError

    console = Console()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    try:
        asyncio.run(Demo(console, yesterday, events, seed=randbits(32)).run())
    except (
        DemoError,
        EngineError,
        GeoError,
        LedgerError,
        PolicyError,
        SettingsError,
        UnreachableError,
    ) as error:
        console.print(f"lethe demo: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
