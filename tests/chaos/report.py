"""What faults did: a file of rows, one JSON line each, and the table that sums them by fault.

Tests that break things report to the same file:

LETHE_CHAOS_RESULTS  the file
LETHE_CHAOS_TIMES    how many times as often they break things as by default
LETHE_CHAOS_SEED     what their chance begins with
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """A fault that was injected so many ``times``, and what was counted after it.

    ``in_flight`` is what was acknowledged, or tried, while it was met. ``upto``: how many episodes
    of the rig's ``plan`` were over then; 0 for rows of tests, whose plan is their own name.
    """

    fault: str
    times: int
    in_flight: int
    lost: int
    doubled: int
    without_consent: int
    left_behind: int
    out_of_order: int
    seed: int
    note: str = ""
    upto: int = 0
    plan: str = ""

    @property
    def violations(self) -> int:
        """Return how much there is of what must not be."""
        return sum(getattr(self, each) for each in VIOLATIONS)


RESULTS = Path(os.environ["LETHE_CHAOS_RESULTS"]) if "LETHE_CHAOS_RESULTS" in os.environ else None
TIMES = int(os.environ.get("LETHE_CHAOS_TIMES", "1"))
SEED = int(os.environ.get("LETHE_CHAOS_SEED", "20261124"))
VIOLATIONS = ("lost", "doubled", "without_consent", "left_behind", "out_of_order")
COUNTS = ("times", "in_flight", *VIOLATIONS)
_HEADS = {each: each.replace("_", " ") for each in COUNTS} | {"without_consent": "sent unconsented"}


def report(path: Path, *rows: Row) -> None:
    """Append rows, all or none of them, and return when they are on disk."""
    text = "".join(json.dumps(asdict(each)) + "\n" for each in rows)
    with path.open("a") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Row]:
    """Return all rows; none where there is no file. The end of a line that broke off is left."""
    known = {each.name for each in fields(Row)}
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    found = [json.loads(each) for each in lines if each.endswith("\n")]
    return [Row(**{name: each[name] for name in each.keys() & known}) for each in found]


def summed(rows: Iterable[Row]) -> list[Row]:
    """Return one row a fault, in the order in which faults first came; notes told once each."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.fault, []).append(row)
    return [
        Row(
            fault,
            **{name: sum(getattr(each, name) for each in those) for name in COUNTS},
            seed=those[0].seed,
            note="; ".join(dict.fromkeys(each.note for each in those if each.note)),
        )
        for fault, those in found.items()
    ]


def table(rows: Sequence[Row]) -> Table:
    """Return the table of all faults, with the seeds that repeat them."""
    seeds = ", ".join(sorted({str(each.seed) for each in rows}))
    made = Table("fault", *_HEADS.values(), "note", title=f"Faults (seed {seeds})")
    for name in _HEADS.values():
        made.columns[[each.header for each in made.columns].index(name)].justify = "right"
    for row in summed(rows):
        counts = [f"{getattr(row, each):,}" for each in COUNTS]
        made.add_row(row.fault, *counts, row.note, style="bold red" if row.violations else None)
    return made


def markdown(rows: Sequence[Row]) -> str:
    """Return the same table as a page has it."""
    heads = ["fault", *_HEADS.values(), "note"]
    lines = [heads, ["---", *["---:"] * len(COUNTS), "---"]]
    lines += [
        [row.fault, *(f"{getattr(row, each):,}" for each in COUNTS), row.note]
        for row in summed(rows)
    ]
    return "\n".join("| " + " | ".join(each) + " |" for each in lines)


def all_is_well(rows: Sequence[Row]) -> bool:
    """Tell whether there are rows, and nothing in them that must not be."""
    return bool(rows) and not any(each.violations for each in rows)
