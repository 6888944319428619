"""``lethe up``: everything on this machine, until Ctrl-C."""

from enum import StrEnum
from typing import Annotated

import typer

command = typer.Typer(
    help="Start the engines, create topics and tables, and run collector and worker."
)


class Broker(StrEnum):
    """Which broker to start."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


@command.command()
def up(
    *,
    broker: Annotated[
        Broker,
        typer.Option(
            help="embedded, for trying out; kafka: Apache Kafka (needs Java, and Maven once)."
        ),
    ] = Broker.EMBEDDED,
    engines_only: Annotated[
        bool, typer.Option("--engines-only", help="No collector and worker.")
    ] = False,
) -> None:
    """Start broker, ClickHouse, collector and worker; Ctrl-C stops all. Data stay in ./.lethe.

    With a policy that has departments, the key server runs too, and they get keys and tokens.
    An engine is not started when the settings name an address (kafka.bootstrap, clickhouse.port).
    Ports are the usual ones if they are free, others if not: the table says which.

    Example: lethe up --broker kafka
    """
    import signal

    from rich.console import Console

    from lethe.cli.geo import progress_bar
    from lethe.local import EngineError
    from lethe.local.stack import Stack
    from sinks.geo import GeoError, ensure
    from streams.guarding import guard
    from streams.policy import PolicyError
    from streams.settings import SettingsError, load

    console = Console()
    # Before any thread starts, so that the signal reaches the one that waits for it.
    ends = (signal.SIGINT, signal.SIGTERM)
    try:
        settings = load(engines=False)
        guard(settings)
        with progress_bar() as progress:
            ensure(settings.geo.cache, settings.geo.databases, progress)
        with Stack(settings, broker.value, console.print, engines_only=engines_only) as stack:
            console.print(stack.table())
            console.print("Ctrl-C stops all.")
            stack.wait(*ends)
            console.print("stopping")
    except (EngineError, GeoError, PolicyError, SettingsError) as error:
        console.print(f"lethe up: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
