"""``lethe deliveries``: what became of the events for ad providers, and of withdrawals."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from lethe.cli.policy import Format
from privacy.ads import ProviderName

if TYPE_CHECKING:
    from rich.console import Group

    from sinks.ledger.deliveries import Kind
    from sinks.ledger.ledger import Ledger

command = typer.Typer(help="Show what became of the events for ad providers, and of withdrawals.")

WATCH_SECONDS = 1.0
HOUR = 3_600_000  # milliseconds


@dataclass(frozen=True, slots=True)
class Look:
    """The ledger at one moment.

    ``delays`` are milliseconds from recorded to effective, in order, of ``hours``; ``waiting`` is
    how long, in milliseconds, each withdrawal has waited that is not effective, the longest first;
    ``promised`` is how long at most. ``removals`` are those due and not done:
    the provider, how many, and for how many milliseconds the first.
    """

    counts: Sequence[tuple["Kind", int]]
    waiting: Sequence[int]
    delays: Sequence[int]
    hours: int
    promised: int
    removals: Sequence[tuple[str, int, int]]


@command.command()
def deliveries(
    *,
    provider: Annotated[ProviderName | None, typer.Option(help="One provider only.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Live, until Ctrl-C.")] = False,
    hours: Annotated[
        int, typer.Option(min=1, max=8_760, help="Withdrawals of the last HOURS.")
    ] = 24,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show events by provider, site, state and reason, and how soon withdrawals are effective.

    accepted is taken and judged later; uncertain may have been taken, and is not sent again; what
    is claimed is being sent. Removals are what a withdrawal still has a provider delete.
    docs/ads.md says what each reason means.

    Example: lethe deliveries --provider meta --watch
    """
    from rich.console import Console
    from rich.live import Live

    from lethe.cli.common import errors_told, ledger_to_read
    from streams.delivery.settle import promised_ms
    from streams.settings import load

    if watch and output is Format.JSON:
        raise typer.BadParameter("--watch is for the table")
    with errors_told("deliveries"):
        settings = load()
    promised = promised_ms(settings.ads.lease_seconds)
    with errors_told("deliveries"), ledger_to_read(settings) as ledger:
        look = _look(ledger, provider, hours, promised)
        if output is Format.JSON:
            typer.echo(json.dumps(_as_json(look)))
        elif not watch:
            Console().print(_as_table(look))
        else:
            with suppress(KeyboardInterrupt), Live(_as_table(look), auto_refresh=False) as live:
                while True:
                    time.sleep(WATCH_SECONDS)
                    live.update(_as_table(_look(ledger, provider, hours, promised)), refresh=True)


def _look(ledger: "Ledger", provider: str | None, hours: int, promised: int) -> Look:
    from sinks.ledger.delays import delays, waiting
    from sinks.ledger.deliveries import counts
    from sinks.ledger.reached import waiting as removals_waiting
    from streams.shared import now

    with ledger.reading() as connection:
        at = now()
        found = [
            (kind, count)
            for kind, count in counts(connection).items()
            if provider in {None, kind.provider}
        ]
        return Look(
            sorted(found, key=lambda each: tuple(map(str, each[0]))),
            [at - recorded for recorded in waiting(connection)],
            delays(connection, at - hours * HOUR),
            hours,
            promised,
            [
                (each.provider, each.removals, at - each.since)
                for each in removals_waiting(connection)
                if provider in {None, each.provider}
            ],
        )


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """Return the smallest of ``ordered`` that at least ``percent`` % do not exceed."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def _as_json(look: Look) -> dict[str, object]:
    return {
        "deliveries": [{**kind._asdict(), "events": count} for kind, count in look.counts],
        "total": sum(count for _, count in look.counts),
        "withdrawals": {
            "waiting": len(look.waiting),
            "oldest_seconds": _seconds(look.waiting[0] if look.waiting else None),
            "hours": look.hours,
            "effective": len(look.delays),
            "p50_seconds": _seconds(percentile(look.delays, 50)),
            "p99_seconds": _seconds(percentile(look.delays, 99)),
        },
        "removals": [
            {"provider": name, "waiting": count, "oldest_seconds": _seconds(age)}
            for name, count, age in look.removals
        ],
    }


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _as_table(look: Look) -> "Group":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("provider", "site", "state", "reason", title="Events for ad providers")
    table.add_column("events", justify="right")
    totals: Counter[str] = Counter()
    for provider, group in groupby(look.counts, key=lambda each: each[0].provider):
        for kind, count in group:
            totals[provider] += count
            cells = (provider, kind.site, kind.state, kind.reason or "", f"{count:,}")
            table.add_row(*map(Text, cells))
        table.add_row(Text(provider), "", "all", "", f"{totals[provider]:,}", end_section=True)
    if len(totals) > 1:
        table.add_row("all", "", "", "", f"{totals.total():,}")
    return Group(table if totals else "No events yet.", *_withdrawals(look), *_removals(look))


def _withdrawals(look: Look) -> Sequence[str]:
    if not look.waiting:
        pending = "Every withdrawal is effective."
    else:
        oldest = look.waiting[0]
        pending = f"{len(look.waiting):,} withdrawals are not effective yet, the oldest for "
        pending += f"{oldest / 1000:,.1f} s"
        if oldest > look.promised:
            pending = f"[red]{pending}; at most {look.promised / 1000:g} s is promised[/]"
    p50, p99 = percentile(look.delays, 50), percentile(look.delays, 99)
    if p50 is None or p99 is None:
        return pending, f"None became effective in {look.hours} h."
    quick = f"half within {p50 / 1000:.3f} s, 99 % within {p99 / 1000:.3f} s"
    return pending, f"{len(look.delays):,} became effective in {look.hours} h: {quick}."


def _removals(look: Look) -> Sequence[str]:
    return [
        f"{count:,} removals wait at {name}, the first for {age / 1000:,.1f} s."
        for name, count, age in look.removals
    ]
