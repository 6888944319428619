"""``lethe topics``: what the catalogue holds."""

import typer
from rich.console import Console
from rich.table import Table

from schemas.registry import topics

command = typer.Typer(help="List the topic catalogue.")


@command.command()
def show() -> None:
    """List the topic catalogue."""
    table = Table("topic", "owner", "from", "to", "kept", "personal data", title="Topics")
    for topic in topics().values():
        classes = sorted(set(topic.personal_data.values()) - {"none"})
        hours = int(topic.config["retention.ms"]) / 3_600_000
        table.add_row(
            topic.name,
            topic.owner,
            ", ".join(topic.producers),
            ", ".join(topic.consumers),
            f"{hours:g} h",
            ", ".join(classes) or "none",
        )
    Console().print(table)
