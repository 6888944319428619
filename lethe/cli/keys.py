"""``lethe keys``: departments' keys and tokens, the server that gives keys out, and who asked."""

from typing import Annotated

import typer

from lethe.cli.policy import Format

command = typer.Typer(
    help="Make departments' keys, rotate them, run the key server, show who asked for a key.",
    no_args_is_help=True,
)


@command.command()
def init() -> None:
    """Make a key and a token for each department of the policy that has none.

    They are files below secrets_dir: keks/DEPARTMENT, which the collector and the key server need
    (the worker, too, that of the department that answers people), and departments/DEPARTMENT, which
    its readers show. Likewise for holders outside. What links, certificates and people's ids are
    made with is made too. Whoever loses a key loses its cases.
    """
    from lethe.cli.common import errors_told, known_policy
    from streams.keys.prepare import prepare
    from streams.settings import load

    with errors_told("keys"):
        settings = load()
        made = prepare(settings.secrets, known_policy(settings))
    for each in made:
        typer.echo(f"made {settings.secrets / each}")
    if not made:
        typer.echo("every department has its key and its token")


@command.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")
    ] = None,
) -> None:
    """Run the key server until Ctrl-C. Defaults come from the settings.

    It speaks plain HTTP: for readers on other machines, put a proxy with TLS before it.
    """
    import asyncio

    from lethe.cli.common import errors_told, known_policy, open_ledger
    from sinks.keys.keks import Keks
    from sinks.keys.vault import Vault
    from streams.guarding import guard
    from streams.keys import tokens
    from streams.keys.app import KeyServer
    from streams.keys.desk import Desk
    from streams.listen import listen
    from streams.logging import configure
    from streams.settings import load
    from streams.shared import now

    configure("keys")
    with errors_told("keys"):
        settings = load()
        guard(settings)
        policy = known_policy(settings)
        ledger = open_ledger(settings)
        try:
            desk = Desk(ledger, Vault(Keks.under(settings.secrets)), policy)
            readers = tokens.readers(policy)
            server = KeyServer(desk, settings.secrets / tokens.FOLDER, readers, clock=now)
            asyncio.run(
                listen(
                    server.application(),
                    settings.keys.host if host is None else host,
                    settings.keys.port if port is None else port,
                    lambda address: typer.echo(f"Key server: {address}"),
                )
            )
        finally:
            ledger.close()


@command.command()
def rotate(
    department: Annotated[
        str,
        typer.Argument(
            help="A department of the policy, rights, or holder.NAME.", metavar="DEPARTMENT"
        ),
    ],
) -> None:
    """Give a department a new key, and wrap the keys of its cases with it.

    Everything goes on meanwhile. If it breaks off, run it again.

    Example: lethe keys rotate marketing
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from sinks.keys.keks import Keks, KeyStoreError
    from sinks.keys.vault import Vault
    from streams.settings import SettingsError, load

    with errors_told("keys"):
        settings = load()
        with ledger_to_read(settings) as ledger:
            try:
                rewrapped = Vault(Keks.under(settings.secrets)).rotate(ledger, department)
            except KeyStoreError as error:
                raise SettingsError(str(error)) from None
    typer.echo(f"{department} has a new key; {rewrapped:,} cases are wrapped with it")


@command.command()
def rotate_links() -> None:
    """Sign links that confirm people's requests with a new key from now on.

    The older ones verify until their file is deleted. On several machines, copy the new file to the
    collectors before the worker has it.
    """
    from lethe.cli.common import errors_told
    from sinks.keys.intake import LINKS, add_signing_key
    from streams.settings import load

    with errors_told("keys"):
        made = add_signing_key(load().secrets / LINKS)
    typer.echo(f"made {made}")


@command.command()
def uses(
    case_id: Annotated[str, typer.Argument(help="The case.", metavar="CASE_ID")],
    *,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show which department asked for a case's key, when, and whether it was given.

    Example: lethe keys uses 5f0c6a9e-9f5b-4d0e-8a53-0d7b3b0f2a11
    """
    from dataclasses import asdict

    from lethe.cli.common import errors_told, ledger_to_read
    from lethe.cli.rows import iso, tell_rows
    from sinks.ledger import keys
    from streams.settings import load

    with (
        errors_told("keys"),
        ledger_to_read(load()) as ledger,
        ledger.reading() as connection,
    ):
        found = keys.uses_of(connection, case_id)
    rows = [{**asdict(each), "at": iso(each.at)} for each in found]
    tell_rows(
        rows,
        f"Who asked for the key of {case_id}",
        "nobody asked for its key",
        as_json=output is Format.JSON,
        err=True,
    )
