"""``python -m tests.chaos run``: inject faults and count what must not be; ``table``: show it."""

import argparse
import os
import time
from pathlib import Path

from rich.console import Console

from lethe.local import packages
from tests.chaos import apart
from tests.chaos.plan import FAULTS, run
from tests.chaos.report import all_is_well, markdown, read, table

WIDTH = 160


def main() -> int:
    """Return 0 if there is nothing that must not be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run a plan, or what of it is not in the file yet")
    running.add_argument("--plan", choices=("ci", "nightly"), default="ci")
    running.add_argument("--seed", type=int, default=int(time.time()))
    running.add_argument("--results", type=Path, default=Path("chaos.jsonl"))
    running.add_argument("--minutes", type=float, default=60.0, help="of faults in a slice")
    running.add_argument("--only", action="append", default=[], choices=sorted(FAULTS))
    running.add_argument("--keep", type=Path, metavar="FOLDER", help="leave all files there")
    showing = commands.add_parser("table", help="show what is in the file; 1 unless all is well")
    showing.add_argument("results", type=Path, nargs="+")
    showing.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    console = Console(width=WIDTH)
    if given.command == "run":
        burn(given, console)
        given.results, given.markdown = [given.results], False
    rows = [row for file in given.results for row in read(file)]
    if given.markdown:
        console.print(markdown(rows), soft_wrap=True, highlight=False, markup=False)
    else:
        console.print(table(rows))
    return 0 if all_is_well(rows) else 1


def burn(given: argparse.Namespace, console: Console) -> None:
    """Run a plan, and tell what goes on and since when."""
    packages.kafka_jars()
    packages.clickhouse_library()  # there is no network to fetch them from, apart
    offered = apart.enter()
    began = time.monotonic()

    def tell(what: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} {what}", highlight=False, markup=False)

    if apart.MOUNTS not in offered and os.environ.get("LETHE_REQUIRE_SERVICES") == "1":
        raise SystemExit("no disk can be mounted here, and LETHE_REQUIRE_SERVICES asks for it")
    tell(f"seed {given.seed}, apart: {', '.join(sorted(offered)) or 'nothing'}")
    run(
        given.plan, given.seed, given.results, tell,
        offered=offered, minutes=given.minutes, only=given.only, keep=given.keep,
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
