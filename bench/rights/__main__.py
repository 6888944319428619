"""``python -m bench.rights``: how soon people are answered, on one broker in one go.

Prints a table and writes JSON. Each measure has a process, a ledger in SQLite and topics of its
own.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from bench.rights.measures import MEASURES
from bench.suite import Result, ratio, run

POLICY = Path(__file__).with_name("policy.toml")

# What is asked for, in seconds.
ACCESS = 5.0  # 99 of 100
ERASURES = 300.0


def main() -> None:
    """Run what was asked for, print the table, write the JSON."""
    run("bench.rights", __doc__, MEASURES, POLICY, show)


def show(results: Mapping[str, Result], console: Console) -> None:
    """Print the results, as the table in docs/benchmarks.md."""
    table = Table("rights", "target", "measured", "of the target", box=MARKDOWN)
    for row in _rows(results):
        table.add_row(*row)
    console.print(table)


def _rows(results: Mapping[str, Result]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what was measured, what is asked for, what was found, and what share that is."""
    if found := results.get("access"):
        what = f"access, {found['records']:,} records among {found['persons']:,} people"
        yield f"{what}: median", "", f"{found['median']:.2f} s", ""
        late = found["p99"]
        yield f"{what}: 99 %", f"{ACCESS:.0f} s", f"{late:.2f} s", ratio(ACCESS / late)
    if found := results.get("erase"):
        what, took = f"{found['requests']:,} erasures, answered", found["seconds"]
        yield what, f"{ERASURES:.0f} s", f"{took:.1f} s", ratio(ERASURES / took)
        alone = found["alone"]
        yield "the same cases deleted alone", "", f"{alone:.1f} s", f"{took / alone:.1f} times"


if __name__ == "__main__":
    main()
