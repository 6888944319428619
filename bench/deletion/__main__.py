"""``python -m bench.deletion``: what deletion costs, on one broker in one go.

Prints tables and writes JSON. Each measure has a process, a ledger in SQLite and topics of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.__main__ import machine
from bench.deletion.measures import MEASURES
from lethe.local.engines import Engines
from streams.settings import ClickHouse, Settings, load

POLICY = Path(__file__).with_name("policy.toml")

# What is asked for.
SHRED = 5_000  # cases a second
CLOSE = 60.0  # seconds, for 100,000 registrations
REACT = 5.0  # seconds, 99 of 100

WIDTH = 100  # no row of a table may be broken
Result = dict[str, Any]


def main() -> None:
    """Run what was asked for, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=MEASURES, help="repeat it")
    parser.add_argument("--scale", type=float, default=1.0, help="less of everything, to try it")
    parser.add_argument("--broker", choices=("embedded", "kafka"), default="embedded")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks-deletion.json"))
    arguments = parser.parse_args()
    names = [name for name in MEASURES if name in (arguments.only or MEASURES)]
    console = Console(width=WIDTH)
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder, Progress(console=console) as bar:
        # ClickHouse holds no case: none is started in the place of this one.
        given = load(engines=False, data_dir=Path(folder), clickhouse=ClickHouse(port=9000))
        with Engines(given, broker=arguments.broker, usual_ports=False) as engines:
            task = bar.add_task("", total=len(names))
            for name in names:
                bar.update(task, description=name)
                results[name] = measure(name, engines.settings, arguments.scale)
                bar.advance(task)
    report = {
        "machine": machine(),
        "broker": arguments.broker,
        "scale": arguments.scale,
        "results": results,
    }
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    show(results, console)


def measure(name: str, settings: Settings, scale: float) -> Result:
    """Run one measure in a process, folder and topics of its own; return what it found."""
    kafka = settings.kafka.model_copy(update={"prefix": f"{name}."})
    own = settings.model_copy(
        update={"policy": POLICY, "data_dir": settings.data_dir / name, "kafka": kafka}
    )
    command = [sys.executable, "-m", "bench.deletion.contender", name, "--scale", str(scale)]
    done = subprocess.run(command, env=own.environment(), stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def show(results: dict[str, Result], console: Console) -> None:
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
            table.add_row(f"{each['kept']:,}", *times, _ratio(each["cpu"] / fewest))
        console.print(table)


def _rows(results: dict[str, Result]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what was measured, what is asked for, what was found, and what share that is."""
    if found := results.get("shred"):
        for name, what in (("unreadable", "unreadable"), ("seconds", "and announced, certified")):
            speed = found["cases"] / found[name]
            ratio = _ratio(speed / SHRED)
            yield what, f"{SHRED:,} cases/s", f"{speed:,.0f} cases/s", ratio
    if found := results.get("close"):
        for name, what in (("closed", "ended"), ("unreadable", "unreadable")):
            yield f"{found['cases']:,} of an event, {what}", "", f"{found[name]:.1f} s", ""
        took = found["seconds"]
        yield "all deletions emitted", f"{CLOSE:.0f} s", f"{took:.1f} s", _ratio(CLOSE / took)
    if found := results.get("react"):
        what = f"from event to unreadable, {found['rate']:.0f}/s"
        ratio = _ratio(REACT / found["p99"])
        yield f"{what}: median", "", f"{found['median']:.2f} s", ""
        yield f"{what}: 99 %", f"{REACT:.0f} s", f"{found['p99']:.2f} s", ratio
        yield f"{what}: longest", "", f"{found['longest']:.2f} s", ""


def _ratio(value: float) -> str:
    return f"**{value:.2f}**"


if __name__ == "__main__":
    main()
