"""``python -m bench.deletion``: what deletion costs, on one broker in one go.

Prints tables and writes JSON. Each measure has a process, a ledger in SQLite and topics of its own.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from bench.deletion.measures import MEASURES
from bench.suite import Result, ratio, run

POLICY = Path(__file__).with_name("policy.toml")

# What is asked for.
SHRED = 5_000  # cases a second
CLOSE = 60.0  # seconds, for 100,000 registrations
REACT = 5.0  # seconds, 99 of 100


def main() -> None:
    """Run what was asked for, print the tables, write the JSON."""
    run("bench.deletion", __doc__, MEASURES, POLICY, show)


def show(results: Mapping[str, Result], console: Console) -> None:
    """Print the results, as the tables in docs/benchmarks.md."""
    table = Table("deletion", "target", "measured", "of the target", box=MARKDOWN)
    for row in _rows(results):
        table.add_row(*row)
    console.print(table)
    if found := results.get("kept"):
        table = Table("cases kept", "one deletion", "CPU", "against the fewest", box=MARKDOWN)
        fewest = found["sizes"][0]["cpu"]
        for each in found["sizes"]:
            times = (f"{each[name] * 1000:.1f} ms" for name in ("seconds", "cpu"))
            table.add_row(f"{each['kept']:,}", *times, ratio(each["cpu"] / fewest))
        console.print(table)


def _rows(results: Mapping[str, Result]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what was measured, what is asked for, what was found, and what share that is."""
    if found := results.get("shred"):
        for name, what in (("unreadable", "unreadable"), ("seconds", "and announced, certified")):
            speed = found["cases"] / found[name]
            told = f"{speed:,.0f} cases/s"
            yield what, f"{SHRED:,} cases/s", told, ratio(speed / SHRED)
    if found := results.get("close"):
        for name, what in (("closed", "ended"), ("unreadable", "unreadable")):
            yield f"{found['cases']:,} of an event, {what}", "", f"{found[name]:.1f} s", ""
        took = found["seconds"]
        yield "all deletions emitted", f"{CLOSE:.0f} s", f"{took:.1f} s", ratio(CLOSE / took)
    if found := results.get("react"):
        what = f"from event to unreadable, {found['rate']:.0f}/s"
        yield f"{what}: median", "", f"{found['median']:.2f} s", ""
        yield (
            f"{what}: 99 %",
            f"{REACT:.0f} s",
            f"{found['p99']:.2f} s",
            ratio(REACT / found["p99"]),
        )
        yield f"{what}: longest", "", f"{found['longest']:.2f} s", ""


if __name__ == "__main__":
    main()
