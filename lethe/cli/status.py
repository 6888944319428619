"""``lethe status``: how far behind, how fast, and what was refused."""

from typing import Annotated

import typer

command = typer.Typer(help="Show lag, rates and rejects by reason.")


@command.command()
def status(
    output: Annotated[
        str, typer.Option("--format", help="table or json.", metavar="FORMAT")
    ] = "table",
    hours: Annotated[int, typer.Option(min=1, max=168, help="Rejects of the last HOURS.")] = 24,
) -> None:
    """Show each lane's lag and rates over a second, and rejects of the last hours by reason.

    Exit code 1 when the broker or ClickHouse does not answer.
    """
    import json
    from dataclasses import asdict

    from confluent_kafka import KafkaException
    from rich.console import Console
    from rich.table import Table

    from lethe.cli.common import errors_told, policy_of
    from sinks.clickhouse.client import ClickHouseDownError
    from sinks.clickhouse.rejects import RejectsTable
    from streams.settings import load
    from streams.shared import Shared, clickhouse, now
    from streams.status import progress

    with errors_told("status"):
        settings = load()
        policy = policy_of(settings)
        places = Shared(settings).places
    holders = () if policy is None else policy.holders
    console = Console()
    try:
        lanes = progress(places, settings.kafka.prefix, holders)
        rejects = RejectsTable(clickhouse(settings, "writer")).by_reason(now() - hours * 3_600_000)
    except (KafkaException, ClickHouseDownError) as error:
        typer.echo(f"lethe status: {type(error).__name__}; is it running? try: lethe up", err=True)
        raise typer.Exit(1) from None
    if output == "json":
        rows = [dict(zip(("processor", "reason", "count"), each, strict=True)) for each in rejects]
        typer.echo(json.dumps({"lanes": [asdict(lane) for lane in lanes], "rejects": rows}))
        return
    table = Table("lane", "reads", "on topic", "behind", "arriving/s", "read/s", title="Lanes")
    for lane in lanes:
        table.add_row(
            lane.reader, lane.topic, f"{lane.end:,}", f"{lane.lag:,}", f"{lane.arriving:,.0f}",
            f"{lane.read:,.0f}",
        )  # fmt: skip
    console.print(table)
    table = Table("refused by", "reason", "messages", title=f"Rejects of {hours} h")
    for processor, reason, count in rejects:
        table.add_row(processor, reason, f"{count:,}")
    console.print(table if rejects else f"No rejects in {hours} h.")
