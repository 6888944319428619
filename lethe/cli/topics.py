"""``lethe topics``: what the catalogue holds, who may do what, and what the broker has of it."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka.admin import AclBinding
    from rich.console import Console

    from schemas.registry import Topic
    from streams.settings import Kafka

command = typer.Typer(invoke_without_command=True)


class Format(StrEnum):
    """How the ACLs are printed."""

    TABLE = "table"
    COMMANDS = "commands"


@command.callback()
def topics(
    context: typer.Context,
    *,
    create: Annotated[
        bool, typer.Option("--create", help="Create missing topics; report those that differ.")
    ] = False,
) -> None:
    """List the topic catalogue; with --create, bring it to the broker of the settings.

    Each department of the settings' policy has a topic of its own for its cases, each holder for
    its receipts. kafka.replication says how many copies there are of each partition.
    What is on the broker already is never changed: how it differs is said, and the exit code is 1.
    """
    if context.invoked_subcommand is not None:
        if create:
            raise typer.BadParameter("--create goes without another command")
        return

    from rich.console import Console
    from rich.table import Table

    from lethe.cli.common import errors_told, policy_of
    from schemas.registry import topics_of
    from streams import kafka_login
    from streams.settings import load

    console = Console()
    with errors_told("topics"):
        settings = load()
        policy = policy_of(settings)
        options = kafka_login.options(settings) if create else {}
    departments = () if policy is None else tuple(policy.departments)
    holders = () if policy is None else tuple(policy.holders)
    if create:
        raise typer.Exit(_create(console, settings.kafka, options, departments, holders))
    table = Table("topic", "owner", "from", "to", "kept", "personal data", title="Topics")
    for topic in topics_of(departments, holders).values():
        classes = sorted(set(topic.personal_data.values()) - {"none"})
        table.add_row(
            topic.name, topic.owner, ", ".join(topic.producers), ", ".join(topic.consumers),
            _kept(topic), ", ".join(classes) or "none",
        )  # fmt: skip
    console.print(table)


@command.command()
def acls(
    *,
    apply: Annotated[
        bool, typer.Option("--apply", help="Add missing ACLs to the broker; report what else is.")
    ] = False,
    output: Annotated[
        Format, typer.Option("--format", help="How to print it; commands: for Kafka's own tool.")
    ] = Format.TABLE,
) -> None:
    """List every ACL there should be, of the topic catalogue and the policy; docs/access.md.

    With --apply, as a super user, add those that the broker lacks. None is ever taken away: what is
    there beside them is said, and the exit code is 1.

    Example: lethe topics acls --format commands
    """
    from lethe.cli.common import errors_told, policy_of
    from sinks import kafka_acls
    from streams import kafka_login
    from streams.settings import load

    with errors_told("topics"):
        settings = load()
        policy = policy_of(settings)
        options = kafka_login.options(settings) if apply else {}
    kafka = settings.kafka
    wanted = kafka_acls.acls(policy, kafka.prefix)
    if apply:
        raise typer.Exit(_apply(kafka, options, wanted))
    if output is Format.COMMANDS:
        for each in wanted:
            typer.echo(_command(each, kafka.bootstrap))
    else:
        _print(wanted, "ACLs")


def _apply(kafka: "Kafka", options: "Mapping[str, str]", wanted: "Iterable[AclBinding]") -> int:
    from confluent_kafka import KafkaException

    from sinks.kafka_acls import put_acls

    try:
        added, others = put_acls(kafka.bootstrap, options, wanted, kafka.prefix)
    except KafkaException as error:
        # The kind alone: what a broker says may quote a credential.
        typer.echo(
            f"lethe topics: {kafka.bootstrap} takes no ACLs: {error.args[0].name()}; it has to be "
            "there, with an authorizer that knows the login of kafka.options as a super user's",
            err=True,
        )
        return 2
    typer.echo(f"{len(added)} ACLs added")
    if others:
        _print(others, "On the broker, and not of the policy")
    return 1 if others else 0


def _print(found: "Iterable[AclBinding]", title: str) -> None:
    from lethe.cli.rows import print_rows

    rows = [
        {
            "principal": each.principal,
            "operation": f"{each.permission_type.name} {each.operation.name}".lower(),
            "on": each.restype.name.lower(),
            "name": _name(each),
            "host": each.host,
        }
        for each in found
    ]
    print_rows(rows, title)


def _name(acl: "AclBinding") -> str:
    return f"{acl.name}…" if acl.resource_pattern_type.name == "PREFIXED" else str(acl.name)


def _command(acl: "AclBinding", bootstrap: str) -> str:
    """Return what adds an ACL of ours with the tool that comes with Kafka."""
    return (
        f"kafka-acls.sh --bootstrap-server {bootstrap} --add --allow-principal {acl.principal}"
        f" --operation {acl.operation.name.title()} --{acl.restype.name.lower()} {acl.name}"
        f" --resource-pattern-type {acl.resource_pattern_type.name.lower()}"
    )


def _kept(topic: "Topic") -> str:
    if topic.config["cleanup.policy"] == "compact":
        return "the latest of each key"
    return f"{int(topic.config['retention.ms']) / 3_600_000:g} h"


def _create(
    console: "Console",
    kafka: "Kafka",
    options: "Mapping[str, str]",
    departments: "Iterable[str]",
    holders: "Iterable[str]",
) -> int:
    from confluent_kafka import KafkaException

    from sinks.kafka_admin import create_topics

    try:
        drifts = create_topics(
            kafka.bootstrap, options, kafka.prefix, kafka.replication,
            departments=departments, holders=holders,
        )  # fmt: skip
    except KafkaException:
        console.print(f"no broker answers at {kafka.bootstrap}; see kafka.bootstrap, or: lethe up")
        return 2
    for drift in drifts:
        console.print(f"{drift.topic}: {drift.setting} is {drift.found}, should be {drift.wanted}")
    return 1 if drifts else 0
