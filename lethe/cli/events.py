"""``lethe events``: who attends an event, as each audience may see it (S6)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe.cli.policy import Format
from privacy.attendance import Audience, Choices, Guest

if TYPE_CHECKING:
    from privacy.policy import Service

command = typer.Typer(
    help="Show who attends an event, as each audience may see it.", no_args_is_help=True
)

Event = Annotated[str, typer.Argument(help="The event: the group.", metavar="EVENT")]
ServiceName = Annotated[str, typer.Option(help="The service of its registrations.")]
Department = Annotated[str, typer.Option(help="A department that reads them.")]
Seen = Annotated[Audience, typer.Option(help="Who is to see it.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="The department's token; default: <secrets>/departments/DEPARTMENT."),
]
Output = Annotated[Format, typer.Option("--format", help="How to print it.")]


@command.command("guest-list")
def guest_list(
    event: Event,
    *,
    service: ServiceName,
    department: Department,
    audience: Seen = Audience.ORGANISER,
    token_file: TokenFile = None,
    output: Output = Format.TABLE,
) -> None:
    """Show who has a seat: the fields that the policy has on the guest list, in order of arrival.

    Exit code 1 when the organiser does not show the list to that audience.

    Example: lethe events guest-list gala-2026 --service gala-guests --department events
    """
    from privacy import attendance

    form, chosen, guests = _attending(event, service, department, token_file)
    shown = attendance.guest_list(chosen, audience, form.fields, guests)
    _print(shown, f"Guests of {event} as {audience} sees them", output)


@command.command()
def seats(
    event: Event,
    *,
    service: ServiceName,
    department: Department,
    audience: Seen = Audience.ORGANISER,
    token_file: TokenFile = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the seats, and what the badge on each says: name and company, as the policy has it.

    Who cancels leaves a seat to the next: print badges when nobody can any more. Exit code 1 when
    the organiser does not show them to that audience.

    Example: lethe events seats gala-2026 --service gala-guests --department events
    """
    from privacy import attendance

    form, chosen, guests = _attending(event, service, department, token_file)
    found = attendance.seats(chosen, audience, form.fields, guests)
    shown = None if found is None else [{"seat": each.number, **each.badge} for each in found]
    _print(shown, f"Seats of {event} as {audience} sees them", output)


def _attending(
    event: str, service: str, department: str, token_file: Path | None
) -> tuple["Service", Choices, Sequence[Guest]]:
    """Return the registrations' form, what the organiser chose, and the registrations."""
    from lethe.cli.cases import present
    from lethe.cli.common import errors_told, ledger_to_read, policy_of
    from privacy.attendance import choices
    from privacy.lifecycle import CaseState, LifeCycleName
    from sinks.ledger import groups
    from streams.settings import SettingsError, load

    with errors_told("events"):
        settings = load()
        policy = policy_of(settings)
        form = None if policy is None else policy.services.get(service)
        if form is None or form.life_cycle is not LifeCycleName.REGISTRATION:
            raise SettingsError(f"--service: {service} is no registration of the policy")
        with ledger_to_read(settings) as ledger, ledger.reading() as connection:
            chosen = choices(groups.settings(connection, service, event))
        cases = present(settings, department, token_file)
    guests = [
        Guest(
            each.case_id,
            CaseState(each.state),
            int(each.received_at.timestamp() * 1000),
            each.fields,
        )
        for each in cases.values()
        if (each.service, each.group) == (service, event)
    ]
    return form, chosen, guests


def _print(rows: Sequence[Any] | None, title: str, output: Format) -> None:
    if rows is None:
        typer.echo("the organiser does not show that to them", err=True)
        raise typer.Exit(1)
    if output is Format.JSON:
        typer.echo(json.dumps([dict(each) for each in rows]))
        return
    from lethe.cli.rows import print_rows

    names = dict.fromkeys(name for row in rows for name in row)
    if rows:
        print_rows([{name: row.get(name) for name in names} for row in rows], title)
    else:
        typer.echo("nobody", err=True)
