"""``lethe requests``: what people asked about their data, what was decided and done (S24)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lethe.cli.policy import Format

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from lethe.cli.rows import Row
    from sinks.ledger.requests import Request, State, Step

command = typer.Typer(help="Show what people asked about their data; decide about it.")

RequestId = Annotated[str, typer.Argument(help="The request.", metavar="REQUEST_ID")]
Output = Annotated[Format, typer.Option("--format", help="How to print it.")]
Because = Annotated[
    str, typer.Option(help="Why: kept for ever, so name nobody; a file number does.")
]


@command.callback(invoke_without_command=True)
def requests(
    context: typer.Context,
    *,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Those that are past their deadline; exit code 1.")
    ] = False,
    state: Annotated[
        str | None,
        typer.Option(help="Those in it: unconfirmed, confirmed, planned, answered or closed."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 20,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show how many are left until all are answered.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show the latest requests: what was asked, decided and answered, and by when it must be.

    Example: lethe requests --overdue
    """
    if context.invoked_subcommand is not None:
        return
    from lethe.cli.common import errors_told, ledger_to_read
    from lethe.cli.rows import tell_rows
    from lethe.cli.watching import watch_all
    from sinks.ledger import requests as kept
    from streams.settings import load
    from streams.shared import now

    known = _state(state)
    with errors_told("requests"), ledger_to_read(load()) as ledger:
        if watch:
            watch_all(ledger)
        with ledger.reading() as connection:
            found = (
                kept.late(connection, now())[:limit]
                if overdue
                else kept.all(connection, limit, known)
            )
    rows = [_row(each) for each in found]
    title, nothing = ("Requests", "No requests yet.")
    if overdue:
        title, nothing = ("Overdue requests", "Nothing is overdue.")
    tell_rows(rows, title, nothing, as_json=output is Format.JSON)
    if overdue and rows:
        raise typer.Exit(1)


@command.command()
def show(request_id: RequestId, *, output: Output = Format.TABLE) -> None:
    """Show one request: what was asked and decided, and when each step was done.

    Example: lethe requests show 5f0c6a9e-9f5b-4d0e-8a53-0d7b3b0f2a11
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from lethe.cli.rows import print_rows
    from sinks.ledger import requests as kept
    from streams.settings import SettingsError, load

    with (
        errors_told("requests"),
        ledger_to_read(load()) as ledger,
        ledger.reading() as connection,
    ):
        found = kept.get(connection, request_id)
        if found is None:
            raise SettingsError("there is no such request")
        steps = [_step(each) for each in kept.steps(connection, request_id)]
    if output is Format.JSON:
        typer.echo(json.dumps(_whole(found) | {"steps": steps}))
        return
    print_rows([{"": name, "value": each} for name, each in _whole(found).items()], "Request")
    if steps:
        print_rows(steps, "Steps")


@command.command()
def holders(*, output: Output = Format.TABLE) -> None:
    """Show the holders outside that have not done what requests asked of them in time; exit code 1.

    Example: lethe requests holders
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from lethe.cli.rows import iso, tell_rows
    from sinks.ledger import demands
    from streams.settings import load
    from streams.shared import now

    with (
        errors_told("requests"),
        ledger_to_read(load()) as ledger,
        ledger.reading() as connection,
    ):
        late = demands.late(connection, now())
    rows: list[Row] = [
        {"holder": each.holder, "demands": each.count, "overdue_since": iso(each.since)}
        for each in late
    ]
    tell_rows(
        rows,
        "Late holders",
        "No holder is late.",
        as_json=output is Format.JSON,
    )
    if rows:
        raise typer.Exit(1)


@command.command()
def holds(*, output: Output = Format.TABLE) -> None:
    """Show what keeps cases and visitors from being used or ended, the oldest first.

    A restriction is lifted by its request, a claim released by its case.

    Example: lethe requests holds
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from lethe.cli.rows import iso, tell_rows
    from sinks.ledger import holds as kept
    from streams.settings import load

    with (
        errors_told("requests"),
        ledger_to_read(load()) as ledger,
        ledger.reading() as connection,
    ):
        found = kept.all(connection)
    rows: list[Row] = [
        {
            "kind": each.kind.value,
            "of": each.whose.value,
            "request_or_case": each.case_id or each.hold_id,
            "ground": each.ground,
            "since": iso(each.since),
        }
        for each in found
    ]
    tell_rows(rows, "Holds", "Nothing is held.", as_json=output is Format.JSON)


@command.command()
def confirm(request_id: RequestId, *, because: Because) -> None:
    """Confirm a request whose sender has shown who they are, as at the desk (Art. 12(6)).

    Example: lethe requests confirm 5f0c6a9e-9f5b-4d0e-8a53-0d7b3b0f2a11 --because "seen at desk 4"
    """
    _say(request_id, "confirmed", because, {"unconfirmed"})


@command.command()
def refuse(
    request_id: RequestId,
    *,
    reason: Annotated[
        str, typer.Option(help="Why by law: unfounded, excessive, identity_not_shown and others.")
    ],
    because: Because,
) -> None:
    """Refuse a request that is not planned yet. Its sender is told why, and where to complain.

    Example: lethe requests refuse 5f0c6a9e-9f5b-4d0e-8a53-0d7b3b0f2a11 --reason unfounded
    --because "file 2027/4"
    """
    from privacy.rights.plan import RefusalReason

    reasons = [each.value for each in RefusalReason]
    if reason not in reasons:
        raise typer.BadParameter(f"one of {', '.join(reasons)}", param_hint="--reason")
    _say(request_id, "refused", because, {"unconfirmed", "confirmed"}, {"reason": reason})


@command.command()
def extend(
    request_id: RequestId,
    *,
    because: Because,
    months: Annotated[int, typer.Option(min=1, max=2, help="By how many months.")] = 2,
) -> None:
    """Move the deadline of a request, once, within its first month; its sender is told why.

    Example: lethe requests extend 5f0c6a9e-9f5b-4d0e-8a53-0d7b3b0f2a11 --because "many requests"
    """
    details = {"months": str(months), "reason": because}
    _say(request_id, "extended", because, {"unconfirmed", "confirmed", "planned"}, details)


@command.command()
def lift(request_id: RequestId, *, because: Because) -> None:
    """Lift the restriction that a request placed. Its subject is told before (Art. 18(3)).

    Example: lethe requests lift 5f0c6a9e-9f5b-4d0e-8a53-0d7b3b0f2a11 --because "file 2027/4"
    """
    _say(request_id, "lifted", because, {"planned", "answered"})


@command.command()
def erase(
    file: Annotated[
        Path, typer.Option("--from", help="CSV with a column email, and language if you like.")
    ],
    *,
    because: Because,
    ground: Annotated[str, typer.Option(help="The ground of Art. 17(1).")] = "no_longer_needed",
) -> None:
    """Erase everybody in a file, whose identity you have seen, and show how far it is.

    What is entered again for the same reason is the same request, so that you can start over.

    Example: lethe requests erase --from people.csv --because "file 2027/4"
    """
    from lethe.cli.common import errors_told, known_policy, open_ledger
    from lethe.cli.watching import watch_some
    from privacy.rights.request import GROUNDS, Ground, Right
    from sinks.kafka import BatchProducer, NotStoredError
    from sinks.keys.intake import subject_key
    from sinks.keys.keks import Keks, KeyStoreError
    from sinks.keys.vault import Vault
    from streams import kafka_login
    from streams.rights.desk import Desk
    from streams.rights.people import read_people
    from streams.settings import SettingsError, load
    from streams.shared import now
    from streams.subject_requests import REQUESTS

    grounds = [each.value for each in GROUNDS[Right.ERASURE]]
    if ground not in grounds:
        raise typer.BadParameter(f"one of {', '.join(grounds)}", param_hint="--ground")
    with errors_told("requests"):
        settings = load()
        policy = known_policy(settings)
        if policy.rights is None:
            raise SettingsError("the policy has no [rights]")
        people = read_people(file)
        ledger = open_ledger(settings)
        producer = BatchProducer(settings.kafka.bootstrap, kafka_login.options(settings))
        try:
            entered = Desk(settings.topic(REQUESTS), producer).erase(
                people,
                Ground(ground),
                because,
                policy=policy,
                ledger=ledger,
                vault=Vault(Keks.under(settings.secrets)),
                subject_key=subject_key(settings.secrets),
                at=now(),
            )
            watch_some(ledger, entered, len(people))
        except NotStoredError as error:
            raise SettingsError(f"kafka: {error}; is it running?") from None
        except KeyStoreError as error:
            raise SettingsError(f"secrets: {error}") from None
        finally:
            ledger.close()


@command.command()
def claim(
    case_id: Annotated[str, typer.Argument(help="The case.", metavar="CASE_ID")],
    *,
    because: Because,
) -> None:
    """Keep a case from its end and from erasure, for a legal claim (Art. 17(3)(e)).

    Example: lethe requests claim 0d7b3b0f-9f5b-4d0e-8a53-5f0c6a9e2a11 --because "file 2027/4"
    """
    from lethe.cli.common import errors_told, open_ledger
    from sinks.ledger import cases
    from streams.rights.claims import place
    from streams.settings import SettingsError, load
    from streams.shared import now

    with errors_told("requests"):
        ledger = open_ledger(load())
        try:
            with ledger.transaction() as connection:
                if case_id not in cases.locked(connection, [case_id]):
                    raise SettingsError("there is no such case")
                new = place(connection, case_id, because, now())
        finally:
            ledger.close()
    typer.echo("the case is kept" if new else "the case was kept already")


@command.command()
def release(
    case_id: Annotated[str, typer.Argument(help="The case.", metavar="CASE_ID")],
    *,
    because: Because,
) -> None:
    """Let a case go that a claim kept: what ended it meanwhile ends it now.

    Example: lethe requests release 0d7b3b0f-9f5b-4d0e-8a53-5f0c6a9e2a11 --because "settled"
    """
    from functools import partial

    from lethe.cli.common import errors_told, known_policy, open_ledger
    from sinks.keys.intake import unsubscribe_keys
    from streams.cases.transitions import Transitions
    from streams.rights.claims import lift
    from streams.settings import SettingsError, load
    from streams.shared import now

    with errors_told("requests"):
        settings = load()
        policy = known_policy(settings)
        links = partial(unsubscribe_keys, settings.secrets)
        transitions = Transitions(policy, settings.topic, links)
        ledger = open_ledger(settings)
        try:
            with ledger.transaction() as connection:
                if not lift(connection, case_id, policy=policy, transitions=transitions, at=now()):
                    raise SettingsError("no claim keeps this case")
        finally:
            ledger.close()
    typer.echo(f"the case is free: {because}")


def _say(
    request_id: str,
    kind: str,
    because: str,
    states: "Collection[str]",
    details: "Mapping[str, str] | None" = None,
) -> None:
    """Say what becomes of a request, if it is in one of ``states``."""
    from lethe.cli.common import errors_told, ledger_to_read
    from sinks.kafka import BatchProducer, NotStoredError
    from sinks.ledger import requests as kept
    from streams import kafka_login
    from streams.rights.desk import Desk
    from streams.settings import SettingsError, load
    from streams.shared import now
    from streams.subject_requests import REQUESTS

    with errors_told("requests"):
        settings = load()
        with ledger_to_read(settings) as ledger, ledger.reading() as connection:
            found = kept.get(connection, request_id)
        if found is None:
            raise SettingsError("there is no such request")
        if found.state not in states:
            raise SettingsError(f"it is {found.state}: too late for that, or too early")
        producer = BatchProducer(settings.kafka.bootstrap, kafka_login.options(settings))
        try:
            Desk(settings.topic(REQUESTS), producer).say(request_id, kind, because, now(), details)
        except NotStoredError as error:
            raise SettingsError(f"kafka: {error}; is it running?") from None
    typer.echo(f"{kind}: lethe requests show {request_id} says when it is done")


def _state(text: str | None) -> "State | None":
    from sinks.ledger.requests import State

    try:
        return None if text is None else State(text)
    except ValueError:
        raise typer.BadParameter(f"one of {', '.join(State)}", param_hint="--state") from None


def _row(request: "Request") -> "dict[str, str | None]":
    from lethe.cli.rows import iso

    return {
        "request_id": request.request_id,
        "right": request.right,
        "state": request.state.value,
        "verdict": request.verdict,
        "received_at": iso(request.received_at),
        "deadline": iso(request.deadline),
        "answered_at": iso(request.answered_at),
    }


def _whole(request: "Request") -> "dict[str, str | None]":
    from lethe.cli.rows import iso

    refused = (f"{what or 'all'}: {reason}" for what, reason in request.refused or ())
    return _row(request) | {
        "ground": request.ground,
        "known_by": " and ".join(_known_by(request)) or None,
        "confirmed_at": iso(request.confirmed_at),
        "confirmed_by": request.confirmed_by,
        "extended_because": request.extended_because,
        "planned_at": iso(request.planned_at),
        "policy": request.policy_version,
        "refused": "; ".join(refused) or None,
        "looked_at_next": iso(request.due_at),
        "closed_at": iso(request.closed_at),
    }


def _known_by(request: "Request") -> "Iterator[str]":
    if request.subject is not None:
        yield "address"
    if request.has_visitor:
        yield "cookie"


def _step(step: "Step") -> "Row":
    from lethe.cli.rows import iso

    return {
        "step": step.number,
        "act": step.act,
        "target": step.target,
        "done_at": iso(step.done_at),
        "outcome": step.outcome,
    }
