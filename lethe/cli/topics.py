"""``lethe topics``: what the catalogue holds, and what the broker has of it."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

command = typer.Typer(help="List the topic catalogue, or create its topics on the broker.")


@command.command()
def topics(
    *,
    create: Annotated[
        bool, typer.Option("--create", help="Create missing topics; report those that differ.")
    ] = False,
    replication: Annotated[
        int, typer.Option(min=1, help="Copies of each partition, when creating.")
    ] = 1,
) -> None:
    """List the topic catalogue; with --create, bring it to the broker of the settings.

    What is on the broker already is never changed: how it differs is said, and the exit code is 1.
    """
    from rich.console import Console
    from rich.table import Table

    from schemas import registry

    console = Console()
    if create:
        raise typer.Exit(_create(console, replication))
    table = Table("topic", "owner", "from", "to", "kept", "personal data", title="Topics")
    for topic in registry.topics().values():
        classes = sorted(set(topic.personal_data.values()) - {"none"})
        hours = int(topic.config["retention.ms"]) / 3_600_000
        table.add_row(
            topic.name, topic.owner, ", ".join(topic.producers), ", ".join(topic.consumers),
            f"{hours:g} h", ", ".join(classes) or "none",
        )  # fmt: skip
    console.print(table)


def _create(console: "Console", replication: int) -> int:
    from confluent_kafka import KafkaException

    from sinks.kafka_admin import create_topics
    from streams.settings import load

    kafka = load().kafka
    try:
        drifts = create_topics(kafka.bootstrap, kafka.options, kafka.prefix, replication)
    except KafkaException:
        console.print(f"no broker answers at {kafka.bootstrap}; see kafka.bootstrap, or: lethe up")
        return 2
    for drift in drifts:
        console.print(f"{drift.topic}: {drift.setting} is {drift.found}, should be {drift.wanted}")
    return 1 if drifts else 0
