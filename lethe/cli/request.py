"""``lethe request``: exercise a right as a site's page would (S17 to S24)."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.settings import Settings

command = typer.Typer(help="Send a person's request to the collector.")

_RIGHTS = (
    "access, rectification, erasure, restriction, lifting, portability, objection or withdrawal"
)


@command.command()
def request(
    right: Annotated[str, typer.Argument(help=f"One of {_RIGHTS}.", metavar="RIGHT")],
    *,
    email: Annotated[
        str | None, typer.Option(help="The person's address; a mail there asks to confirm it.")
    ] = None,
    cookie: Annotated[
        str | None, typer.Option(help="The visitor's cookie id; alone it needs no confirming.")
    ] = None,
    ground: Annotated[
        str | None,
        typer.Option(
            help="Why; erasure, restriction and objection need one. The answer names them."
        ),
    ] = None,
    language: Annotated[str | None, typer.Option(help="Of the answer: en, nl, fr or de.")] = None,
    service: Annotated[
        str | None, typer.Option(help="This service alone: rectification, withdrawal, portability.")
    ] = None,
    purpose: Annotated[
        list[str] | None, typer.Option(help="Withdrawal: of this consent; may be repeated.")
    ] = None,
    correct: Annotated[
        list[str] | None,
        typer.Option(help="Rectification: the new value; may be repeated.", metavar="FIELD=VALUE"),
    ] = None,
    statement: Annotated[
        str | None, typer.Option(help="Rectification: what is to be kept beside the data.")
    ] = None,
    transfer_to: Annotated[
        str | None, typer.Option(help="Portability: a controller of the policy; default: a file.")
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="A site of the settings; default: the first.")
    ] = None,
    site_key: Annotated[
        str | None, typer.Option(help="The site's key, in place of that of the settings.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of the collector; default: of the settings.")
    ] = None,
) -> None:
    """Send a request and print its id, and where its answer will be.

    With --email the person first gets a mail with a link to confirm it: lethe letters shows it. The
    answer comes by mail then. With --cookie alone the request is confirmed by that, and the answer
    can be fetched from the address that is printed, once; whoever has it can. lethe requests shows
    how far it is.

    Example: lethe request access --email visitor@example.com --language nl

    Example: lethe request erasure --ground consent_withdrawn --cookie 3f9c1a7e-visitor
    """
    from lethe.cli.common import errors_told
    from lethe.requests import RequestFailedError, RequestRefusedError, submit_request
    from streams.settings import SettingsError, load

    if email is None and cookie is None:
        raise typer.BadParameter("give --email, --cookie or both: by what is the person known?")
    corrections = _corrections(correct) if correct else None
    with errors_told("request"):
        settings = load()
        try:
            asked = submit_request(
                url or f"http://{settings.collector.host}:{settings.collector.port}",
                site_key or _key_of(settings, site),
                right,
                email=email,
                cookie_id=cookie,
                ground=ground,
                language=language,
                service=service,
                purposes=purpose,
                corrections=corrections,
                statement=statement,
                transfer_to=transfer_to,
            )
        except RequestRefusedError as error:
            raise SettingsError(f"refused: {error}") from None
        except RequestFailedError as error:
            raise SettingsError(f"{error}; does it run? see lethe up") from None
        except ValueError as error:
            raise SettingsError(f"--url: {error}") from None
    typer.echo(asked.request_id)
    if asked.answer is None:
        typer.echo("a mail asks to confirm it; see lethe letters", err=True)
    else:
        typer.echo(asked.answer)


def _corrections(given: list[str]) -> dict[str, str]:
    parted = [each.partition("=") for each in given]
    if not all(name and equals for name, equals, _ in parted):
        raise typer.BadParameter("write FIELD=VALUE", param_hint="--correct")
    return {name: value for name, _, value in parted}


def _key_of(settings: "Settings", site: str | None) -> str:
    known = settings.sites
    if site is not None and site not in known:
        raise typer.BadParameter(f"the settings have {', '.join(known)}", param_hint="--site")
    return known[site or next(iter(known))].keys[0]
