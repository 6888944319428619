"""``lethe lists``: mailing lists, who must not be mailed, and the key that signs links (S5)."""

import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from lethe.cli.policy import Format

if TYPE_CHECKING:
    from privacy.policy import Policy

command = typer.Typer(
    help="Show mailing lists, hold addresses against opt-outs, change the key of links.",
    no_args_is_help=True,
)

AT_ONCE = 1_000


@command.command()
def show(
    *,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show the lists of the policy, how many are subscribed, and how many unsubscribed.

    Example: lethe lists show --format json
    """
    from lethe.cli.common import errors_told, known_policy, ledger_to_read
    from lethe.cli.rows import tell_rows
    from sinks.ledger import unsubscribed
    from streams.settings import load

    with errors_told("lists"):
        settings = load()
        policy = known_policy(settings)
        with ledger_to_read(settings) as ledger, ledger.reading() as connection:
            left = unsubscribed.count(connection)
            rows = [
                {
                    "list": name,
                    "title": each.title,
                    "kind": each.kind.value,
                    "subscribed": unsubscribed.count_subscribed(connection, _of(policy, name)),
                    "unsubscribed": left.get(name, 0),
                }
                for name, each in policy.lists.items()
            ]
    tell_rows(
        rows,
        "Mailing lists",
        "the policy has no lists",
        as_json=output is Format.JSON,
        err=True,
    )


@command.command()
def opted_out(
    name: Annotated[str, typer.Argument(help="A list of the policy.", metavar="LIST")],
) -> None:
    """Read addresses from standard input, one a line; print those that unsubscribed from LIST.

    To be asked before addresses from elsewhere are mailed. They are not kept.

    Example: lethe lists opted-out newsletter < addresses.txt
    """
    from lethe.cli.common import errors_told, known_policy, ledger_to_read
    from privacy.subjects import subject_id
    from sinks.keys.intake import subject_key
    from sinks.keys.keks import KeyStoreError
    from sinks.ledger import unsubscribed
    from streams.settings import SettingsError, load

    with errors_told("lists"):
        settings = load()
        policy = known_policy(settings)
        if name not in policy.lists:
            known = ", ".join(policy.lists) or "none"
            raise typer.BadParameter(f"the policy's lists are {known}", param_hint="LIST")
        try:
            key = subject_key(settings.secrets)
        except KeyStoreError as error:
            raise SettingsError(f"secrets: {error}") from None
        addresses = (line.strip() for line in sys.stdin if line.strip())
        with ledger_to_read(settings) as ledger:
            while some := list(islice(addresses, AT_ONCE)):
                subjects = {each: subject_id(key, each) for each in some}
                with ledger.reading() as connection:  # not while we wait for more to read
                    found = unsubscribed.among(connection, name, set(subjects.values()))
                for address, subject in subjects.items():
                    if subject in found:
                        typer.echo(address)


@command.command()
def rotate() -> None:
    """Sign links with a new key from now on. The older ones verify until their file is deleted.

    On several machines, copy the new file to the collectors before the worker has it.
    """
    from lethe.cli.common import errors_told
    from sinks.keys.intake import UNSUBSCRIBE, add_signing_key
    from streams.settings import load

    with errors_told("lists"):
        made = add_signing_key(load().secrets / UNSUBSCRIBE)
    typer.echo(f"made {made}")


def _of(policy: "Policy", list_: str) -> list[str]:
    """Return the services that subscribe to a list."""
    return [name for name, each in policy.services.items() if each.list == list_]
