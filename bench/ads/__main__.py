"""``python -m bench.ads``: routing, each provider alone, all together with withdrawals between.

Prints tables and writes JSON. The stand-ins answer from a process of their own; CPU seconds are
those of the contender's process.
"""

import argparse
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.__main__ import machine
from bench.ads.delivery import LOADS
from privacy.ads import ProviderName

LATENCY_MS = 50
DECISIONS = 100_000  # a second and core: what is asked for
EFFECTIVE = 1.0  # seconds in which 99 of 100 withdrawals are to be effective
DELETION = ":submitUserDeletion"  # what GA4 offers to undo an event
EVERY = 200_000  # calls that the stand-ins keep
WIDTH = 100  # no row of a table may be broken
Result = dict[str, Any]


def main() -> None:
    """Run everything, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks-ads.json"))
    arguments = parser.parse_args()
    console = Console(width=WIDTH)
    with Progress(console=console) as bar:
        task = bar.add_task("routing", total=len(LOADS) + 2)
        routing = contend(["routing"])
        bar.advance(task)
        alone: dict[str, Result] = {}
        for name in LOADS:
            bar.update(task, description=name)
            alone |= deliver([name])["providers"]
            bar.advance(task)
        bar.update(task, description="all together")
        together = deliver(list(LOADS))
        bar.advance(task)
    report = {
        "machine": machine(),
        "latency_ms": LATENCY_MS,
        "routing": routing,
        "alone": alone,
        "together": together["providers"],
        "withdrawals": together["withdrawals"],
    }
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    show(report, console)


def deliver(names: Sequence[ProviderName]) -> Result:
    """Deliver to stand-ins that nobody has called before; add what they say of it."""
    with standins() as url:
        results = contend([*names, "--standins", url])
        with urllib.request.urlopen(f"{url}/desk/calls?limit={EVERY}") as answer:
            told = json.load(answer)
    for name, each in results["providers"].items():
        tally = told["tallies"][name]
        if tally["refused"] or tally["events"] != each["events"] - each.get("dropped", 0):
            raise RuntimeError(f"{name}: not every event was taken once and at once")
        each["requests"] = tally["calls"]
    if "withdrawals" in results:
        removed = sum(each["path"].endswith(DELETION) for each in told["recent"])
        if not (removed and results["providers"]["ga4"]["dropped"]):
            raise RuntimeError("the withdrawals undid nothing, or stopped nothing")
        results["withdrawals"]["removed"] = removed
        results["providers"]["ga4"]["requests"] -= removed
    for name, each in results["providers"].items():
        each["ratio"] = each[LOADS[name].unit] / each["seconds"] / LOADS[name].rate
    return results


def contend(arguments: Sequence[str]) -> dict[str, Result]:
    """Run one contender and return what it measured."""
    command = [sys.executable, "-m", "bench.ads.contender", *arguments]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


@contextmanager
def standins() -> Iterator[str]:
    """Run the stand-ins; give their URL."""
    command = ["-m", "lethe", "standins", "--port", "0", "--latency", str(LATENCY_MS)]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1].rstrip(",")
    finally:
        process.terminate()
        process.communicate()


def show(report: dict[str, Any], console: Console) -> None:
    """Print the report, its tables as they are in docs/benchmarks.md."""
    consents, decide, route = (report["routing"][name] for name in ("consents", "decide", "route"))
    table = Table("routing", "events per CPU s", "of the target", box=MARKDOWN)
    speed = decide["events"] / decide["cpu"]
    table.add_row("consent decided", f"{speed:,.0f}", f"**{speed / DECISIONS:.1f}**")
    table.add_row("the whole route lane", f"{route['events'] / route['cpu']:,.0f}", "")
    console.print(table)
    console.print(
        f"memory of a million visitors: {consents['rss'] / consents['visitors']:,.0f} MB\n"
        f"{route['routed'] / route['events']:.2f} events leave for each that comes"
    )
    table = Table(
        "each alone", "target", "events/s", "requests/s", "of the target", "CPU µs", box=MARKDOWN
    )
    for name, each in report["alone"].items():
        load = LOADS[name]
        spent = f"{each['cpu'] / each['events'] * 1e6:,.0f}"
        table.add_row(name, f"{load.rate:,.0f} {load.unit}/s", *_speeds(each), spent)
    console.print(table)
    table = Table(
        "all together",
        "events/s",
        "requests/s",
        "of what comes",
        "seconds behind",
        "withdrawn",
        box=MARKDOWN,
    )
    for name, each in report["together"].items():
        table.add_row(name, *_speeds(each), f"{each['behind']:.1f}", f"{each['dropped']:,}")
    console.print(table)
    table = Table("withdrawals", "median", "99 %", "longest", "of the target", box=MARKDOWN)
    took = report["withdrawals"]
    times = (f"{took[name]:.2f} s" for name in ("median", "p99", "longest"))
    table.add_row(f"{took['count']:,}", *times, f"**{EFFECTIVE / took['p99']:.2f}**")
    console.print(table)
    console.print(f"{took['removed']:,} of their visitors deleted at GA4")


def _speeds(each: Result) -> tuple[str, str, str]:
    """Return events and requests a second, and what share of the target that is."""
    events, requests = (each[name] / each["seconds"] for name in ("events", "requests"))
    return f"{events:,.0f}", f"{requests:,.0f}", f"**{each['ratio']:.2f}**"


if __name__ == "__main__":
    main()
