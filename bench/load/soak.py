"""``python -m bench.load.soak``: hours of steady traffic, in slices of which each stands alone.

A slice is one life of all processes. It is written to the file when it is over, and one that broke
off is done again; so the whole may take several starts. Ends with exit code 1 if a process of ours
grows by more than so many percent an hour, or lanes fall behind.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from bench.load.company import company
from bench.load.measures import capacity
from bench.load.watch import Look
from lethe.local.engines import Engines
from lethe.standins.account import POLICY
from streams.settings import load

MOST_GROWTH = 5.0  # percent an hour
WARM_MINUTES = 10.0  # before a slice's memory counts; a sixth of slices that are shorter than 60
PHASE_SECONDS = 60.0
LOOK_SECONDS = 5.0
SHARE = 0.5  # of what was measured at the beginning
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60  # of a picture
OTHERS = ("Kafka", "ClickHouse")  # told, not judged: they keep what they are given

Slice = Mapping[str, Any]


def main() -> int:
    """Run what is missing of the minutes, show all slices; return 1 if one is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m bench.load.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--slice", type=float, default=60.0, help="minutes; shorter ones tell less")
    parser.add_argument(
        "--results", type=Path, default=Path(".lethe/soak.jsonl"), help="remove it to begin anew"
    )
    parser.add_argument(
        "--rate", type=float, default=0.0, help="events/s; 0: half of what it bears"
    )
    given = parser.parse_args()
    console = Console(width=130)
    given.results.parent.mkdir(parents=True, exist_ok=True)
    if not left(given.results, given.minutes):
        console.print(f"all was measured before; remove {given.results} to measure anew")
    while minutes := left(given.results, given.minutes):
        part = min(given.slice, minutes)
        console.print(f"{minutes:g} of {given.minutes:g} minutes are left; {part:g} now")
        found = json.dumps(soak(part, given.rate))
        with given.results.open("a") as file:
            file.write(found + "\n")
            file.flush()
            os.fsync(file.fileno())
    slices = read(given.results)
    for each in slices:
        show(each, console)
    return 0 if all(not wrong(each) for each in slices) else 1


def left(path: Path, minutes: float) -> float:
    """Return how many of the minutes are not in the file."""
    missing = minutes - sum(each["minutes"] for each in read(path))
    return missing if missing > 0.01 else 0.0


def read(path: Path) -> list[Slice]:
    """Return the slices that are over; the end of a line that broke off is left."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(each) for each in lines if each.endswith("\n")]


def soak(minutes: float, rate: float) -> Slice:
    """Run one slice. Raise LoadError when it shows what must not be."""
    with tempfile.TemporaryDirectory() as name:
        given = load(engines=False, data_dir=Path(name), policy=POLICY)
        with (
            Engines(given, broker="kafka", usual_ports=False) as engines,
            company(engines.settings) as pipeline,
        ):
            pipeline.start()
            most = capacity(pipeline, 1.0 if minutes > 5 else 0.25)["a_second"]
            rate = rate or most * SHARE
            acknowledged = refused = 0
            with pipeline.watch(LOOK_SECONDS, parent=os.getpid()) as watch:
                left = minutes * 60
                while left > 0:
                    phase = pipeline.send(min(PHASE_SECONDS, left), rate)
                    left -= phase.took
                    pipeline.drain()
                    pipeline.require_kept(phase)
                    acknowledged += phase.acknowledged
                    refused += sum(phase.outcomes.values()) - len(phase.taken)
            drained = pipeline.drain()
            looks = [_since(each, watch.looks[0]) for each in watch.looks]
    return {
        "minutes": minutes,
        "capacity": most,
        "rate": rate,
        "acknowledged": acknowledged,
        "refused": refused,
        "drained": drained,
        "looks": looks,
    }


def _since(look: Look, first: Look) -> Mapping[str, Any]:
    behind = max(look.behind.values())
    return {"at": round(look.at - first.at, 1), "rss": look.rss, "behind": behind}


def judged(found: Slice) -> Sequence[Mapping[str, Any]]:
    """Return the looks that count: those after the beginning, in which caches fill."""
    warm = 60 * min(WARM_MINUTES, found["minutes"] / 6)
    return [each for each in found["looks"] if each["at"] >= warm]


def growth(looks: Iterable[Mapping[str, Any]], process: str) -> float:
    """Return how a process's memory grows, in percent an hour, by a straight line through it."""
    times, sizes = zip(*((each["at"], each["rss"][process]) for each in looks), strict=True)
    slope, start = np.polyfit(np.array(times) - times[0], sizes, 1)
    return float(slope * 3600 / start * 100)


def wrong(found: Slice) -> list[str]:
    """Return what is not as it must be."""
    looks = judged(found)
    ours = [each for each in looks[0]["rss"] if each not in OTHERS]
    grown = [each for each in ours if growth(looks, each) > MOST_GROWTH]
    # Flat: no further behind at the end than at the beginning, but for a second's events.
    fifth = max(len(looks) // 5, 1)
    first, last = (np.mean([e["behind"] for e in part]) for part in (looks[:fifth], looks[-fifth:]))
    return [*grown, *(["lag"] if last > first + found["rate"] else [])]


def show(found: Slice, console: Console) -> None:
    """Print a slice as a table with pictures."""
    looks, bad = judged(found), wrong(found)
    console.print(
        f"{found['minutes']:g} min at {found['rate']:,.0f} events/s of {found['capacity']:,.0f}: "
        f"{found['acknowledged']:,} acknowledged, lost 0, twice 0; "
        f"batches not taken {found['refused']:,}; drained in {found['drained']:.1f} s"
    )
    table = Table("", "first", "last", "an hour", "", box=MARKDOWN)
    for process in looks[0]["rss"]:
        sizes = [each["rss"][process] for each in found["looks"]]
        table.add_row(
            process,
            f"{looks[0]['rss'][process] / 1e6:,.0f} MB",
            f"{looks[-1]['rss'][process] / 1e6:,.0f} MB",
            f"{growth(looks, process):+.1f} %",
            picture(sizes),
            style="red" if process in bad else None,
        )
    lags = [each["behind"] for each in found["looks"]]
    ends = (f"{each['behind']:,}" for each in (looks[0], looks[-1]))
    table.add_row(
        "messages behind", *ends, "", picture(lags), style="red" if "lag" in bad else None
    )
    console.print(table)


def picture(values: Sequence[float]) -> str:
    """Draw values as a line of bars from 0 to the largest."""
    parts = np.array_split(np.array(values, float), min(WIDTH, len(values)))
    most = max(*values, 1)
    return "".join(BARS[min(int(part.mean() / most * len(BARS)), len(BARS) - 1)] for part in parts)


if __name__ == "__main__":
    sys.exit(main())
