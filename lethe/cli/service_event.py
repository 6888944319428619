"""``lethe service-event``: report what became of a case, or of a whole group (S3)."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from privacy.lifecycle import LIFE_CYCLES, ServiceEvent

if TYPE_CHECKING:
    from privacy.policy import Policy
    from sinks.ledger.jobs import Job
    from sinks.ledger.ledger import Ledger
    from streams.settings import Settings

command = typer.Typer(help="Report what became of a case, or of a whole group.")

WATCH_SECONDS = 0.2
PATIENCE_SECONDS = 30.0  # for a worker to take the event up


@command.command()
def service_event(
    event: Annotated[ServiceEvent, typer.Argument(help="What happened.", metavar="EVENT")],
    *,
    service: Annotated[str, typer.Option(help="The service, as the policy names it.")],
    case: Annotated[str | None, typer.Option(help="The case it happened to.")] = None,
    group: Annotated[
        str | None, typer.Option(help="The contest, event, survey or vacancy, with all its cases.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who reports it; no person.")] = "operator",
    event_id: Annotated[
        str | None, typer.Option(help="The same when it is reported again; default: a new one.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show how far it is, until it is done.")
    ] = False,
) -> None:
    """Send a service event. docs/services.md says which event ends what.

    With --watch the exit code is 1 when the event was refused or no worker took it up.

    Example: lethe service-event event_over --service gala --group gala-2026 --watch
    """
    import uuid

    from lethe.cli.common import errors_told, known_policy, ledger_to_read
    from sinks.kafka import NotStoredError
    from streams.settings import SettingsError, load
    from streams.shared import now

    if (case is None) == (group is None):
        raise typer.BadParameter("give either --case or --group")
    event_id = event_id or str(uuid.uuid4())  # noqa: TID251 - the edge: ids are made here
    with errors_told("service-event"):
        settings = load()
        policy = known_policy(settings)
        require_known(policy, service, event, of_group=group is not None)
        try:
            send(
                settings, event,
                event_id=event_id, service=service, case=case, group=group, at=now(), by=by,
            )  # fmt: skip
        except NotStoredError as error:
            raise SettingsError(f"kafka: {error}; is it running?") from None
        typer.echo(event_id)
        if watch:
            with ledger_to_read(settings) as ledger:
                _watch(ledger, event_id)


def require_known(policy: "Policy", service: str, event: ServiceEvent, *, of_group: bool) -> None:
    """Raise BadParameter when no case of the service could ever take the event."""
    if service not in policy.services:
        raise typer.BadParameter(f"--service: the policy has {', '.join(policy.services)}")
    life_cycle = LIFE_CYCLES[policy.services[service].life_cycle]
    every = {event for by in life_cycle.moves.values() for event in by}
    every |= {event for by in life_cycle.further.values() for event in by}
    events = sorted(life_cycle.group_events if of_group else every)
    if event not in events:
        what = "a whole group" if of_group else "a case"
        known = f"are {', '.join(events)}" if events else "are none"
        raise typer.BadParameter(f"the events of {what} of this service {known}")


def send(
    settings: "Settings",
    event: ServiceEvent,
    *,
    event_id: str,
    service: str,
    case: str | None = None,
    group: str | None = None,
    at: int,
    by: str,
) -> None:
    """Send an event of a case, or of a group, and wait until it is stored. Raise NotStoredError.

    ``at`` is in milliseconds since 1970, ``by`` no person.
    """
    from schemas.codec import encode
    from sinks.kafka import BatchProducer
    from streams import kafka_login
    from streams.cases import EVENTS

    content: dict[str, object] = {
        "event_id": event_id,
        "service": service,
        "event": event.value,
        "case_id": case,
        "group": group,
        "at": at,
        "by": by,
        "details": {},
    }
    producer = BatchProducer(settings.kafka.bootstrap, kafka_login.options(settings))
    key = (case or group or "").encode()
    producer.send(settings.topic(EVENTS), [encode("service_event", content)], [key])
    producer.stored()


def _watch(ledger: "Ledger", event_id: str) -> None:
    """Show how far a job is until it is finished; Exit 1 when it was refused or nobody works."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from sinks.ledger import jobs

    job: Job | None = None
    until = time.monotonic() + PATIENCE_SECONDS
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task("waiting for a worker", total=None)
        while job is None or job.finished_at is None:
            with ledger.reading() as connection:
                job = jobs.show(connection, event_id)
            if job is not None:
                done = f"{job.event}: cases changed"
                progress.update(task, description=done, total=job.total, completed=job.done)
            elif time.monotonic() > until:
                break
            if job is None or job.finished_at is None:
                time.sleep(WATCH_SECONDS)
    if job is None:
        typer.echo("no worker took it up; start one with: lethe worker", err=True)
        raise typer.Exit(1)
    if job.done < job.total:
        typer.echo("refused: its dead letter says why", err=True)
        raise typer.Exit(1)
    typer.echo(f"{job.done:,} cases changed")
