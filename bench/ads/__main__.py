"""``python -m bench.ads``: routing, then each provider alone, then all together.

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

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.__main__ import machine
from bench.ads.delivery import LOADS
from privacy.ads import ProviderName

LATENCY_MS = 50
DECISIONS = 100_000  # a second and core: what is asked for
Result = dict[str, Any]


def main() -> None:
    """Run everything, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks-ads.json"))
    arguments = parser.parse_args()
    console = Console()
    with Progress(console=console) as bar:
        task = bar.add_task("routing", total=len(LOADS) + 2)
        routing = contend(["routing"])
        bar.advance(task)
        alone: dict[str, Result] = {}
        for name in LOADS:
            bar.update(task, description=name)
            alone |= deliver([name])
            bar.advance(task)
        bar.update(task, description="all together")
        together = deliver(list(LOADS))
        bar.advance(task)
    report = {
        "machine": machine(),
        "latency_ms": LATENCY_MS,
        "routing": routing,
        "alone": alone,
        "together": together,
    }
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    show(report, console)


def deliver(names: Sequence[ProviderName]) -> dict[str, Result]:
    """Deliver to stand-ins that nobody has called before; add what they say of it."""
    with standins() as url:
        results = contend([*names, "--standins", url])
        with urllib.request.urlopen(f"{url}/desk/calls?limit=0") as answer:
            tallies = json.load(answer)["tallies"]
    for name, each in results.items():
        tally = tallies[name]
        if tally["refused"] or tally["events"] != each["events"]:
            raise RuntimeError(f"{name}: not every event was taken once and at once")
        each["requests"] = tally["calls"]
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
    """Print the report."""
    consents, decide, route = (report["routing"][name] for name in ("consents", "decide", "route"))
    speed = decide["events"] / decide["cpu"]
    console.print(
        f"memory of a million visitors: {consents['rss'] / consents['visitors']:,.0f} MB\n"
        f"decide: {speed:,.0f} events per CPU s, [bold]{speed / DECISIONS:.1f}[/] of the target\n"
        f"route: {route['events'] / route['cpu']:,.0f} events per CPU s, "
        f"{route['routed'] / route['events']:.2f} leave for each that comes"
    )
    for title in ("alone", "together"):
        last = "CPU µs an event" if title == "alone" else "seconds behind"
        table = Table("", "events/s", "requests/s", "of the target", last, title=title)
        for name, each in report[title].items():
            table.add_row(
                name,
                f"{each['events'] / each['seconds']:,.0f}",
                f"{each['requests'] / each['seconds']:,.0f}",
                f"{each['ratio']:.2f}",
                f"{each['behind']:.1f}"
                if "behind" in each
                else f"{each['cpu'] / each['events'] * 1e6:,.0f}",
            )
        console.print(table)


if __name__ == "__main__":
    main()
