"""``python -m bench.load``: what the whole pipeline bears, on one broker in one go.

Prints tables and writes JSON. Collector, key server, workers, Kafka and ClickHouse are processes
of one machine, and so is the sender.
"""

from collections.abc import Iterator, Mapping

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from bench.load.measures import MEASURES
from bench.suite import Result, run
from lethe.standins.account import POLICY

PATHS = {
    "http": "collector, batches of 50",
    "sdk": "SDK, one process",
    "framed": "straight to Kafka",
}


def main() -> None:
    """Run what was asked for, print the tables, write the JSON."""
    run("bench.load", __doc__, MEASURES, POLICY, show, clickhouse=True, broker="kafka")


def show(results: Mapping[str, Result], console: Console) -> None:
    """Print the results, as the tables in docs/benchmarks.md."""
    table = Table("to ClickHouse through", "events", "seconds", "events/s", box=MARKDOWN)
    for name, path in PATHS.items():
        if found := results.get(name):
            speed = f"{found['a_second']:,.0f}"
            table.add_row(path, f"{found['events']:,}", f"{found['seconds']:.1f}", speed)
    if table.row_count:
        console.print(table)
    if found := results.get("load"):
        for table in (_phases(found), _memory(found)):
            console.print(table)
        console.print(
            f"Drained {found['drained']:.1f} s after the last; acknowledged and lost 0, twice 0; "
            f"stored though not acknowledged {found['stored_unacknowledged']:,}"
        )


def _phases(found: Result) -> Table:
    heads = (
        "phase",
        "events/s",
        "sent",
        "stored",
        "429",
        "503",
        "not sent",
        "half",
        "99 %",
        "behind",
    )
    table = Table(*heads, box=MARKDOWN)
    for each in found["phases"]:
        outcomes = each["outcomes"]
        known = ("202", "429", "503", "not begun")
        other = {name: many for name, many in outcomes.items() if name not in known}
        counts = (outcomes.get(name, 0) for name in known)
        table.add_row(
            each["name"],
            f"{each['rate']:,.0f}",
            f"{each['offered']:,}",
            *(f"{many:,}" for many in counts),
            *(f"{late * 1000:,.0f} ms" for late in each["late"]),
            f"{each['most_behind']:,}",
        )
        if other:
            table.add_row("", "", "", *(f"{name} {many:,}" for name, many in other.items()))
    return table


def _memory(found: Result) -> Table:
    names = [each["name"] for each in found["phases"]]
    table = Table("resident memory, MB", *names, "drained", box=MARKDOWN)
    for row in _rss(found, len(names)):
        table.add_row(*row)
    return table


def _rss(found: Result, count: int) -> Iterator[tuple[str, ...]]:
    for process in found["rss_at_the_end"]:
        phases = (found["phases"][each]["most_rss"].get(process, 0) for each in range(count))
        last = found["rss_at_the_end"][process]
        yield process, *(f"{each / 1e6:,.0f}" for each in (*phases, last))


if __name__ == "__main__":
    main()
