"""``python -m tests.mutation``: take each guard out in turn and show which test notices."""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.mutation.check import Verdict, check, copy, failures
from tests.mutation.mutations import MUTATIONS

WIDTH = 200  # no row of the table may be broken


def main() -> int:
    """Return 0 if every mutation is caught by each of its tests."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", action="append", help="a part of a name; repeat it")
    given = parser.parse_args()
    wanted = [
        each
        for each in MUTATIONS
        if not given.only or any(part in each.name for part in given.only)
    ]
    console = Console(width=WIDTH)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder / "whole")
        tests = dict.fromkeys(test for each in wanted for test in each.tests)
        if red := failures(tests, folder / "whole"):
            console.print("red with every guard in place:", *sorted(red), sep="\n")
            return 1
        verdicts = [
            check(each, folder / str(number))
            for number, each in enumerate(track(wanted, console=Console(file=sys.stderr)))
        ]
    table = Table("guard", "taken out", "caught by", "seconds", box=MARKDOWN)
    for mutation, verdict in zip(wanted, verdicts, strict=True):
        table.add_row(mutation.guard, mutation.name, _told(verdict), f"{verdict.seconds:.1f}")
    console.print(table)
    return 1 if any(each.survived for each in verdicts) else 0


def _told(verdict: Verdict) -> str:
    caught = [f"`{each.rpartition('::')[2]}`" for each in verdict.caught_by]
    missed = [f"[red]NOT {each}[/]" for each in verdict.survived]
    return ", ".join([*caught, *missed])


if __name__ == "__main__":
    raise SystemExit(main())
