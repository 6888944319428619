"""``python -m tests.fuzz``: bad input for all parsers and for a company that runs."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lethe.standins.server import in_thread
from tests.chaos.report import Row, all_is_well, read, report
from tests.chaos.stack import Stack
from tests.fuzz.company import Fuzz, engines, running
from tests.fuzz.parsers import PARSERS
from tests.fuzz.run import try_parser

FAULT = "bad input"
SLICE = 5_000
# The columnar parsers take up to 70 messages at once, and a policy takes its time.
SLOW = {
    "policy": 10, "settings": 3, "columns-tracking_event": 10, "columns-anonymised_event": 10,
    "backup": 3, "geo-table": 3,
}  # fmt: skip

Tell = Callable[[str], None]


def main() -> int:
    """Return 0 if all bad input was refused, each with its reason, and nothing else was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=2_000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--results", type=Path, help="append a row a slice; see tests.chaos")
    parser.add_argument("--resume", action="store_true", help="leave out what has a row there")
    parser.add_argument("--slice", type=int, default=SLICE, help="inputs between two checks")
    given = parser.parse_args()
    done = 0
    if given.resume and given.results:
        rows = [each for each in read(given.results) if each.fault == FAULT]
        done = sum(each.times for each in rows if each.seed == given.seed)
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} {what}", flush=True)  # noqa: T201

    tell(f"seed {given.seed}, {done} of {given.count} done")
    if done >= given.count:
        return 0
    found = []
    with (
        tempfile.TemporaryDirectory(prefix="lethe-fuzz-", ignore_cleanup_errors=True) as folder,
        engines(Path(folder) / "engines") as ground,
        in_thread() as standins,
        running(ground, Path(folder), standins) as stack,
    ):
        for row in slices(stack, given.seed, done, given.count, given.slice, tell):
            found.append(row)
            if given.results:
                report(given.results, row)
    return 0 if all_is_well(found) else 1


def slices(stack: Stack, seed: int, done: int, count: int, size: int, tell: Tell) -> Iterator[Row]:
    """Try inputs from number ``done`` to ``count``, and yield a row for so many at a time."""
    known: set[str] = set()
    while done < count:
        many = min(size, count - done)
        yield one_slice(stack, seed, done, many, known, tell)
        done += many


def one_slice(stack: Stack, seed: int, done: int, count: int, known: set[str], tell: Tell) -> Row:
    """Try ``count`` inputs: a third by parsers here, the others by the company that runs."""
    third = count // 3
    broken = [str(each) for each in _parsers(third, f"{seed}|{done}")]
    fuzz = Fuzz(stack, seed, known)
    fuzz.bodies(third, done)
    fuzz.messages(count - 2 * third, done)
    wrong = {"parsers": broken, **fuzz.check()}
    for what, each in wrong.items():
        for one in each[:10]:
            tell(f"{what}: {one}")
    sent = fuzz.sent
    good = len(sent.events) + len(sent.cases)
    tell(
        f"{done + count} inputs; of this slice {third} in the parsers, {sum(sent.answers.values())}"
        f" bodies {dict(sorted(sent.answers.items()))}, {len(sent.bad)} messages refused as dead"
        f" letters, {len(sent.denied)} as a no to everything, {len(sent.odd)} odd ones,"
        f" {good} good events and cases arrived"
    )
    return Row(
        FAULT,
        times=count,
        in_flight=good,
        lost=sum(len(wrong[each]) for each in wrong if each not in {"doubled", "without consent"}),
        doubled=len(wrong["doubled"]),
        without_consent=len(wrong["without consent"]),
        left_behind=0,
        out_of_order=0,
        seed=seed,
        note="lost: also whatever was refused without its reason",
    )


def _parsers(count: int, seed: str) -> Iterator[object]:
    """Try all parsers; of those that take their time, fewer."""
    shares = {name: 1 / SLOW.get(name, 1) for name in PARSERS}
    whole = sum(shares.values())
    left = count
    for name, share in shares.items():
        mine = min(left, max(1, round(count * share / whole)))
        left -= mine
        yield from try_parser(name, mine, seed)
    yield from try_parser("url", left, f"{seed}|rest")


if __name__ == "__main__":
    raise SystemExit(main())
