"""``lethe consent``: what a visitor chose, and the proof of it (Art. 7(1) GDPR; S15, S23)."""

import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from lethe.cli.policy import Format
from lethe.cli.rows import Row, iso, print_rows

if TYPE_CHECKING:
    from privacy.consent import Consent
    from privacy.policy import Policy
    from sinks.ledger.consents import ConsentChange

command = typer.Typer(
    help="Show what a visitor chose, or export the proof of a site's consents.",
    no_args_is_help=True,
)

Site = Annotated[str, typer.Argument(help="The site, as the settings name it.", metavar="SITE")]
CookieId = Annotated[str, typer.Argument(help="The visitor's cookie id.", metavar="COOKIE_ID")]
Output = Annotated[Format, typer.Option("--format", help="How to print it.")]

# A change as it is shown: by name, the attribute of ``ConsentChange``.
_COLUMNS = {
    "site": "site",
    "cookie_id": "visitor",
    "recorded_at": "recorded_at",
    "effective_at": "effective_at",
    "purpose": "purpose",
    "decision": "decision",
    "notice_id": "notice_id",
    "notice_version": "notice_version",
    "language": "language",
    "how": "how",
    "occurred_at": "occurred_at",
    "epoch": "epoch",
    "change_id": "id",
    "partition": "partition",
    "offset": "offset",
}


class Form(StrEnum):
    """How a proof is written."""

    CSV = "csv"
    JSON = "json"


@command.command()
def show(site: Site, cookie_id: CookieId, *, output: Output = Format.TABLE) -> None:
    """Show by purpose what a visitor chose: yes, no or ask, since when, and on which notice.

    A purpose without an answer was decided about, but is no longer in the policy.

    Example: lethe consent show shop.example c-2f81
    """
    from lethe.cli.common import errors_told, known_policy, ledger_to_read
    from sinks.ledger import consents
    from streams.settings import load

    with errors_told("consent"):
        settings = load()
        policy = known_policy(settings)
        with ledger_to_read(settings) as ledger, ledger.reading() as connection:
            consent = consents.standing(connection, site, cookie_id)
            changes = consents.history(connection, site, cookie_id)
    rows = list(_chosen(policy, consent, changes))
    if output is Format.JSON:
        told = {"site": site, "cookie_id": cookie_id, "epoch": consent.epoch, "purposes": rows}
        typer.echo(json.dumps(told))
    else:
        print_rows(rows, f"What {cookie_id} chose on {site}")
    if not consent.epoch:
        typer.echo(f"nothing is recorded of this visitor of {site}", err=True)


@command.command()
def history(site: Site, cookie_id: CookieId, *, output: Output = Format.TABLE) -> None:
    """Show every change of a visitor's consent with what proves it, the oldest first.

    recorded_at is the broker's time, occurred_at the sender's; from effective_at on nothing more
    left on the strength of a consent that was taken away.

    Example: lethe consent history shop.example c-2f81 --format json
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from sinks.ledger import consents
    from streams.settings import load

    with (
        errors_told("consent"),
        ledger_to_read(load()) as ledger,
        ledger.reading() as connection,
    ):
        rows = [_row(each) for each in consents.history(connection, site, cookie_id)]
    if output is Format.JSON:
        typer.echo(json.dumps(rows))
    elif rows:
        left_out = ("site", "cookie_id", "change_id", "partition", "offset")
        shown = [{k: v for k, v in row.items() if k not in left_out} for row in rows]
        print_rows(shown, f"What {cookie_id} changed on {site}")
    if not rows:
        typer.echo(f"nothing is recorded of this visitor of {site}", err=True)


@command.command()
def export(
    *,
    site: Annotated[str, typer.Option(help="The site, as the settings name it.")],
    form: Annotated[Form, typer.Option("--format", help="How to write it.")] = Form.CSV,
    output: Annotated[
        Path | None,
        typer.Option(help="A file, readable by its owner alone; default: standard output."),
    ] = None,
) -> None:
    """Export every consent change of a site: the proof that Art. 7(1) GDPR asks for.

    Each visitor's changes are together, the oldest first. It holds cookie ids: keep it as such.

    Example: lethe consent export --site shop.example --output proof.csv
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from sinks.ledger import consents
    from streams.settings import load

    if output is not None and output.exists() and not output.is_file():
        raise typer.BadParameter("is there already and no file", param_hint="--output")
    with (
        errors_told("consent"),
        ledger_to_read(load()) as ledger,
        _file(output) as out,
        ledger.reading() as connection,
    ):
        rows = map(_row, consents.export(connection, site))
        count = _write_csv(rows, out) if form is Form.CSV else _write_json(rows, out)
    typer.echo(f"{count:,} changes of {site}", err=True)


def _chosen(
    policy: "Policy", consent: "Consent", changes: Iterable["ConsentChange"]
) -> Iterator[Row]:
    """Yield what holds for each purpose; what took a consent away unread has no proof."""
    from privacy.consent import answer

    proof: dict[int | None, ConsentChange] = {change.epoch: change for change in changes}
    for name in dict.fromkeys((*policy.purposes, *consent.standings)):
        purpose, standing = policy.purposes.get(name), consent.standings.get(name)
        since = None if standing is None else standing.since
        change = proof.get(since)
        yield {
            "purpose": name,
            "answer": answer(purpose.mode, standing) if purpose else None,
            "decision": None if standing is None else standing.decision,
            "since": None if change is None else iso(change.recorded_at),
            "epoch": since,
            **{
                each: getattr(change, each, None) for each in ("notice_id", "notice_version", "how")
            },
        }


def _row(change: "ConsentChange") -> Row:
    values = ((name, getattr(change, attribute)) for name, attribute in _COLUMNS.items())
    return {name: iso(value) if name.endswith("_at") else value for name, value in values}


def _write_csv(rows: Iterable[Row], out: TextIO) -> int:
    """Write rows below their names, and return how many."""
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - the last is how many
        writer.writerow(row)
    return count


def _write_json(rows: Iterable[Row], out: TextIO) -> int:
    """Write rows as one array, a line each, and return how many."""
    count = 0
    for count, row in enumerate(rows, 1):
        out.write(",\n" if count > 1 else "[\n")
        out.write(json.dumps(row))
    out.write("\n]\n" if count else "[]\n")
    return count


@contextmanager
def _file(path: Path | None) -> Iterator[TextIO]:
    """Give standard output, or a file for its owner alone, that is there once it is whole."""
    if path is None:
        yield sys.stdout
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            yield out
        part.replace(path)
    except BaseException:
        part.unlink()
        raise
