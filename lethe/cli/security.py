"""``lethe security``: who attacks, what a log would raise, and what an address is called (S8)."""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe.cli.policy import Format
from lethe.cli.rows import Row, iso, tell_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from privacy.abuse import Access, Alert
    from streams.settings import Settings

command = typer.Typer(help="Show who attacks, and try the rules on a log.", no_args_is_help=True)

Output = Annotated[Format, typer.Option("--format", help="How to print it.")]


@command.command()
def alerts(
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with those to come.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show the alerts that are kept (24 hours at most), each once, the oldest first.

    A token stands for an address; lethe security token says whether it is that of an address that
    you know. With --follow each is printed as a line, JSON or not, until Ctrl-C.

    Example: lethe security alerts --follow --format json
    """
    from confluent_kafka import KafkaException

    from lethe.cli.common import errors_told
    from streams.settings import load

    with errors_told("security"):
        settings = load()
        try:
            found = _alerts(settings, follow=follow)
            if follow:
                for each in found:
                    typer.echo(json.dumps(each) if output is Format.JSON else _line(each))
            else:
                title = "Attacks of the last 24 hours"
                as_json = output is Format.JSON
                tell_rows(list(found), title, "no attack was seen", as_json=as_json)
        except KafkaException as error:
            typer.echo(f"lethe security: the broker: {error.args[0].name()}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            return


@command.command("try")
def try_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The log, also .gz.")],
    *,
    site: Annotated[str, typer.Option(help="What to call the site.")] = "site",
    output: Output = Format.TABLE,
) -> None:
    """Say which alerts a web server's log would raise under the settings. Nothing is published.

    Addresses stand there as tokens of this one run. Exit code 1 when no line can be read.

    Example: lethe security try access.log
    """
    from lethe.cli.common import errors_told
    from lethe.logs.source import Source, unzipped
    from privacy.abuse import Watch
    from streams.lanes.security import rules_of
    from streams.settings import load

    with errors_told("security"):
        rules = rules_of(load().security)
        with file.open("rb") as raw:
            from lethe.logs.place import Place

            source = Source(unzipped(raw), site, file.name, Place())
            read = list(_accesses(source, site))
    if not read:
        typer.echo(f"lethe security: {file}: no line is of a web server's log", err=True)
        raise typer.Exit(1)
    read.sort(key=lambda each: each.at)  # several processes of a server write as they end
    watch = Watch(rules)
    found = [_shown(alert) for access in read for alert in watch.see(access)]
    title = f"Alerts that {len(read):,} requests raise"
    tell_rows(found, title, f"no alert in {len(read):,} requests", as_json=output is Format.JSON)
    if found and output is Format.TABLE:
        counts = Counter(str(each["kind"]) for each in found)
        typer.echo(", ".join(f"{kind}: {count}" for kind, count in counts.items()))


@command.command()
def token(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS|-", help="IPv4 or IPv6; -: read from standard input.")
    ],
) -> None:
    """Print what alerts call an address: one token for each salt that still exists.

    To see whether somebody who is refused is among those who attacked. A salt is destroyed 14
    hours after it was made at the latest; from then on nobody can tell.

    Example: lethe security token 192.0.2.7
    """
    from lethe.cli.common import errors_told
    from privacy.pseudonym import address_token
    from sinks.salts import ADDRESSES, Salts
    from streams.settings import load

    if address == "-":  # then no history of a shell and no list of processes has it
        address = sys.stdin.readline().strip()
    with errors_told("security"):
        salts = Salts.under(load().data_dir, ADDRESSES)
        kept = salts.kept()
        salts.close()
        try:
            for _, salt in kept:
                typer.echo(address_token(salt, address))
        except ValueError:
            raise typer.BadParameter("is no IP address", param_hint="ADDRESS") from None
        if not kept:
            typer.echo("lethe security: no salt exists: nothing was told of requests yet", err=True)


def _accesses(source: Any, site: str) -> "Iterator[Access]":
    """Yield what a log tells, with tokens under a salt that nobody keeps."""
    import secrets

    from privacy.pseudonym import Salt
    from streams.accesses import access_of

    salt, now = Salt(secrets.token_bytes(32)), time.time_ns() // 1_000_000
    for each in source.candidates():
        if each.answered is not None:
            yield access_of(salt, each.answered, site=site, now=now)


def _alerts(settings: "Settings", *, follow: bool) -> "Iterator[Row]":
    from sinks.kafka import poll
    from streams.security_alerts import all_read, open_alerts, read_alert

    source = open_alerts(settings)
    try:
        seen: set[str] = set()
        while follow or not all_read(source):
            for message in poll(source, 1_000, 0.2):
                alert = read_alert(message.value())
                if alert is not None and alert["id"] not in seen:
                    seen.add(alert["id"])
                    yield _row(alert)
    finally:
        source.close()


def _shown(alert: "Alert") -> Row:
    told = {"at": alert.at, "kind": alert.kind.value, "site": alert.site, "token": alert.token}
    window = {"count": alert.count, "window_seconds": alert.seconds, "until": alert.until}
    return _row(told | window)


def _row(alert: dict[str, Any]) -> Row:
    return {
        "at": iso(alert["at"]),
        "kind": alert["kind"],
        "site": alert["site"],
        "token": alert["token"],
        "count": alert["count"],
        "seconds": alert["window_seconds"],
        "until": iso(alert["until"]) if alert["token"] else None,
    }


def _line(row: Row) -> str:
    return "  ".join(str(each) for each in row.values() if each is not None)
