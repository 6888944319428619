"""``lethe dead-letters``: what was refused and where it lies; sent again when that is mended."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from lethe.cli.policy import Format

if TYPE_CHECKING:
    from streams.replay import Replay
    from streams.shared import Shared

command = typer.Typer(
    help="Show refused messages, and send them again when what refused them is mended.",
    no_args_is_help=True,
)

ReasonOption = Annotated[str | None, typer.Option(help="Those refused for this reason alone.")]
ProcessorOption = Annotated[str | None, typer.Option("--by", help="Refused by this lane alone.")]
Hours = Annotated[int, typer.Option(min=1, max=168, help="Of the last HOURS.")]


@command.command("list")
def list_(
    *,
    reason: ReasonOption = None,
    by: ProcessorOption = None,
    hours: Hours = 168,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the newest first.")] = 20,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show where refused messages lie, which step refused them and why; never what they hold.

    Example: lethe dead-letters list --reason unknown_case
    """
    from lethe.cli.rows import iso, tell_rows

    with _replaying() as (_, replaying):
        found = list(replaying.letters(reason=reason, processor=by, since=_ago(hours)))
    newest = sorted(found, key=lambda each: -int(each["at"]))[:limit]
    rows = [
        {
            "at": iso(each["at"]),
            "topic": each["topic"],
            "partition": each["partition"],
            "offset": each["offset"],
            "by": each["processor"],
            "step": each["step"],
            "reason": each["reason"],
            "fields": ", ".join(each["fields"]),
        }
        for each in newest
    ]
    title = f"{len(found):,} dead letters"
    tell_rows(rows, title, "No dead letters.", as_json=output is Format.JSON)


@command.command()
def replay(
    *,
    reason: ReasonOption = None,
    by: ProcessorOption = None,
    hours: Hours = 168,
    everything: Annotated[
        bool, typer.Option("--all", help="Whatever the reason was, and whoever refused it.")
    ] = False,
) -> None:
    """Send refused messages to their topic once more, as they lie there.

    What would be refused again is left out, as is what is gone. Exit code 1 when nothing was sent.

    Example: lethe dead-letters replay --reason unknown_service
    """
    from sinks.kafka import BatchProducer
    from streams import kafka_login

    if reason is None and by is None and not everything:
        raise typer.BadParameter("say which: --reason, --by, or --all")
    with _replaying() as (shared, replaying):
        kafka = shared.settings.kafka
        producer = BatchProducer(kafka.bootstrap, kafka_login.options(shared.settings))
        letters = list(replaying.letters(reason=reason, processor=by, since=_ago(hours)))
        done = replaying.replay(letters, producer)
    typer.echo(f"sent: {done.sent:,}")
    for many, what in (
        (done.gone, "gone from their topic"),
        (done.too_old, "tracking events older than twelve hours"),
        (done.never, "settled where they were refused"),
        *((many, f"would be refused again: {why}") for why, many in sorted(done.again.items())),
    ):
        if many:
            typer.echo(f"not sent: {many:,} {what}")
    if not done.sent:
        raise typer.Exit(1)


@contextmanager
def _replaying() -> Iterator[tuple["Shared", "Replay"]]:
    from confluent_kafka import KafkaException

    from lethe.cli.common import errors_told
    from sinks.kafka import NotStoredError
    from streams.replay import Replay
    from streams.settings import SettingsError, load
    from streams.shared import Shared

    with errors_told("dead-letters"):
        shared = Shared(load())
        try:
            yield shared, Replay(shared)
        except (KafkaException, NotStoredError) as error:
            raise SettingsError(f"{type(error).__name__}; is the broker running?") from None


def _ago(hours: int) -> int:
    from streams.shared import now

    return now() - hours * 3_600_000
