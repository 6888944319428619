"""``lethe topics``: what the catalogue holds, and what the broker has of it."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from schemas.registry import Topic
    from streams.settings import Kafka

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

    Each department of the settings' policy has a topic of its own for its cases.
    What is on the broker already is never changed: how it differs is said, and the exit code is 1.
    """
    from rich.console import Console
    from rich.table import Table

    from lethe.cli.common import errors_told, policy_of
    from schemas.registry import topics_of
    from streams.settings import load

    console = Console()
    with errors_told("topics"):
        settings = load()
        policy = policy_of(settings)
    departments = () if policy is None else tuple(policy.departments)
    if create:
        raise typer.Exit(_create(console, settings.kafka, departments, replication))
    table = Table("topic", "owner", "from", "to", "kept", "personal data", title="Topics")
    for topic in topics_of(departments).values():
        classes = sorted(set(topic.personal_data.values()) - {"none"})
        table.add_row(
            topic.name, topic.owner, ", ".join(topic.producers), ", ".join(topic.consumers),
            _kept(topic), ", ".join(classes) or "none",
        )  # fmt: skip
    console.print(table)


def _kept(topic: "Topic") -> str:
    if topic.config["cleanup.policy"] == "compact":
        return "the latest of each key"
    return f"{int(topic.config['retention.ms']) / 3_600_000:g} h"


def _create(
    console: "Console", kafka: "Kafka", departments: "Iterable[str]", replication: int
) -> int:
    from confluent_kafka import KafkaException

    from sinks.kafka_admin import create_topics

    try:
        drifts = create_topics(
            kafka.bootstrap, kafka.options, kafka.prefix, replication, departments=departments
        )
    except KafkaException:
        console.print(f"no broker answers at {kafka.bootstrap}; see kafka.bootstrap, or: lethe up")
        return 2
    for drift in drifts:
        console.print(f"{drift.topic}: {drift.setting} is {drift.found}, should be {drift.wanted}")
    return 1 if drifts else 0
