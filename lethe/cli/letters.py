"""``lethe letters``: what the mail system is to send to people who asked (S17 to S24)."""

import json
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lethe.letters import Letter

command = typer.Typer(help="Show letters as the mail system reads them.")

_WHOLE = "To: {to}\nSubject: {subject}\nRequest: {request_id} ({kind}, {language})\n\n{text}\n"


@command.command()
def letters(
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with those to come.")] = False,
    request: Annotated[str | None, typer.Option(help="Those of this request alone.")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="Token of the department that answers requests; default: "
            "<secrets>/departments/DEPARTMENT."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each as a line of JSON.")] = False,
) -> None:
    """Show the letters that can still be read, opened. The key server must run.

    They are for the department that the policy names under [rights]. Every key that is asked for
    is written down; lethe keys uses shows it.

    Example: lethe letters --follow --json
    """
    from lethe.cli.common import errors_told, known_policy
    from lethe.cli.readers import reading
    from lethe.letters import LetterReader
    from streams.settings import SettingsError, load

    with errors_told("letters"):
        settings = load()
        rights = known_policy(settings).rights
        if rights is None:
            raise SettingsError("the policy has no [rights], so nobody is written to")
        with reading(LetterReader, settings, rights.department, token_file) as reader:
            found: Iterable[Letter] = reader.until_now()
            wanted = _of(chain(found, reader) if follow else found, request)
            for letter in wanted:
                typer.echo(_line(letter) if as_json else _WHOLE.format(**asdict(letter)))


def _of(letters: "Iterable[Letter]", request_id: str | None) -> "Iterator[Letter]":
    return (each for each in letters if request_id in {None, each.request_id})


def _line(letter: "Letter") -> str:
    return json.dumps(asdict(letter), ensure_ascii=False)
