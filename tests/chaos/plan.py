"""Which faults come in which order, and what is counted after them.

A plan is a row of episodes, shuffled by its seed; those that need another ground come after all
that do not. It is run in slices, each on topics, tables and a ledger of its own, and each reported
when it is checked: what was reported is not run again.
"""

import tempfile
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import groupby
from pathlib import Path
from random import Random
from threading import Lock
from typing import Literal

from lethe.standins.server import StandIns, in_thread
from tests.chaos import apart, clocks, cluster, disks, drift, faults, network, replay
from tests.chaos.acked import Acked, lines
from tests.chaos.check import Episode, rows, violations
from tests.chaos.faults import Fault
from tests.chaos.grounds import company_disk, reached, rough, three
from tests.chaos.owed import Owed
from tests.chaos.providers import moody
from tests.chaos.report import Row, read, report
from tests.chaos.stack import ChaosError, Ground, Stack
from tests.chaos.traffic import Traffic
from tests.chaos.world import drained, found

Plan = Literal["ci", "nightly"]
Tell = Callable[[str], None]
Make = Callable[[Path], AbstractContextManager[Ground]]

FAULTS: Mapping[str, Fault] = {
    each.name: each
    for module in (faults, network, disks, clocks, drift, replay, cluster)
    for each in module.FAULTS
}

# What each ground offers to faults; the first that has all that a fault needs is taken.
GROUNDS: Mapping[str, tuple[Make, frozenset[str]]] = {
    "one broker": (rough, network.NEEDS | disks.NEEDS),
    "three brokers": (three, cluster.NEEDS),
}
START_SECONDS = 120.0
WAITING = 2  # faults that go on alongside, so that a slice is over in its time
SHOWN = 30  # violations that are told one by one


def ground_of(fault: Fault) -> str:
    """Return the name of the ground that a fault is injected on."""
    return next(name for name, (_, offers) in GROUNDS.items() if fault.needs <= offers)


def episodes(plan: Plan, seed: int, only: Sequence[str] = ()) -> list[Fault]:
    """Return the faults of a plan, each as often as it says, in the order of the seed."""
    wanted = [FAULTS[each] for each in only] or list(FAULTS.values())
    found = [fault for fault in wanted for _ in range(getattr(fault, plan))]
    Random(seed).shuffle(found)
    return sorted(found, key=lambda fault: list(GROUNDS).index(ground_of(fault)))


def run(
    plan: Plan,
    seed: int,
    results: Path,
    tell: Tell,
    *,
    offered: Collection[str],
    minutes: float = 60.0,
    only: Sequence[str] = (),
    keep: Path | None = None,
) -> None:
    """Run what of a plan is not reported yet, in slices of at most so many minutes of faults.

    ``offered`` is what the kernel does for us (``apart.enter``). ``keep``: where all files are left
    for a look. Raise ChaosError when the file is another plan's.
    """
    wanted = episodes(plan, seed, only)
    order = [each for each in wanted if apart.MOUNTS in offered or not each.needs & disks.NEEDS]
    its = f"{plan}: {len(order)} of {', '.join(only) or 'all'}"
    done = _done(results, seed, its)
    if not done:
        report(
            results,
            *(Row(each, 0, 0, 0, 0, 0, 0, 0, seed, "not injected: no disk can be mounted here")
              for each in dict.fromkeys(fault.name for fault in wanted if fault not in order)),
        )  # fmt: skip
    left = list(enumerate(order))[done:]
    for name, those in groupby(left, key=lambda each: ground_of(each[1])):
        waiting = [fault for _, fault in those]
        with _folder(keep) as folder, GROUNDS[name][0](folder / "engines") as ground:
            while waiting:
                with in_thread() as standins:
                    those_there = reached(ground, standins)
                    slice_ = Slice(ground, folder / f"{done}", those_there, f"{seed}-{done}", tell)
                    slice_.burn(waiting, minutes)
                done += len(slice_.episodes)
                waiting = waiting[len(slice_.episodes) :]
                report(results, *slice_.rows(seed, done, its))


def _done(results: Path, seed: int, plan: str) -> int:
    """Return how many episodes of a plan are in the file."""
    found = [each for each in read(results) if each.upto and each.seed == seed]
    if others := {each.plan for each in found} - {plan}:
        raise ChaosError(f"{results} is of '{others.pop()}', not '{plan}': name another file")
    return max((each.upto for each in found), default=0)


class Slice:
    """A company from its first day to its last, and what went wrong in between."""

    def __init__(
        self, ground: Ground, folder: Path, standins: StandIns, seed: str, tell: Tell
    ) -> None:
        self.episodes: list[Episode] = []
        self._beside = ThreadPoolExecutor(1)
        self._going_on: deque[Future[None]] = deque()
        self._one_at_a_time = Lock()
        self._ground = ground
        self._folder = folder
        self._standins = standins
        self._seed = seed
        self._tell = tell

    def burn(self, waiting: Sequence[Fault], minutes: float) -> None:
        """Inject faults into traffic until the time is over, one at least; then look everywhere."""
        (self._folder / "company").mkdir(parents=True)
        file = self._folder / "acked.jsonl"
        acked, chance = Acked(file), Random(self._seed)
        company = self._folder / "company"
        with (
            company_disk(self._ground, company / "data"),
            Stack(self._ground, company, self._standins) as stack,
            closing(self),
        ):
            self._tell("the company is open")
            with Traffic(stack, acked, self._seed), moody(stack.desk, self._seed) as self._moods:
                stack.flow(seconds=START_SECONDS)  # what stands behind the entrance may still begin
                deadline = time.monotonic() + 60 * minutes
                for number, fault in enumerate(waiting):
                    if number and time.monotonic() > deadline:
                        break
                    self._begin(number, fault, stack, chance)
                self._wait_for(0)
            acked.close()
            self._owed = Owed(lines(file))
            self._tell("no more traffic: all has to be read and done within a minute")
            behind = drained(stack, self._owed, self._tell)
            self._tell("looking everywhere")
            world = found(stack, self._owed, behind)
            world.slow = [
                (each.began, each.ended)
                for each in self.episodes
                if FAULTS[each.fault] in network.FAULTS
            ]
            self._found = violations(self._owed, world)

    def close(self) -> None:
        """Begin no more faults; one that is under way alongside goes on."""
        self._beside.shutdown(wait=False, cancel_futures=True)

    def rows(self, seed: int, upto: int, plan: str) -> list[Row]:
        """Return what is to be reported; tell of each violation."""
        for name, each in self._found[:SHOWN]:
            self._tell(f"{name} {each.kind}: {each.what}")
        found = [each for _, each in self._found]
        return [
            *rows(self._owed, found, self.episodes, seed=seed, upto=upto, plan=plan),
            *(Row(name, times, times, 0, 0, 0, 0, 0, seed, upto=upto, plan=plan)
              for name, times in sorted(self._moods.items())),
        ]  # fmt: skip

    def _begin(self, number: int, fault: Fault, stack: Stack, chance: Random) -> None:
        """Inject a fault; those that take their time come one by one alongside the others."""
        if fault.alongside:
            its_own = Random(f"{self._seed}|{number}")
            self._wait_for(WAITING)
            self._going_on.append(self._beside.submit(self._inject, fault, stack, its_own))
        else:
            self._inject(fault, stack, chance)

    def _wait_for(self, left: int) -> None:
        """Wait until so many at most are under way alongside; raise what one of them raised."""
        while len(self._going_on) > left:
            self._going_on.popleft().result()

    def _inject(self, fault: Fault, stack: Stack, chance: Random) -> None:
        with self._one_at_a_time:
            number = len(self.episodes)
            self.episodes.append(Episode(fault.name, time.time_ns() // 1_000_000))
        started = time.monotonic()
        note = fault.inject(stack, chance)
        ended = time.time_ns() // 1_000_000
        self.episodes[number] = self.episodes[number]._replace(ended=ended, note=note)
        self._tell(f"{number + 1}: {fault.name}, {time.monotonic() - started:.1f} s {note}")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Make a folder, and remove it in the end unless it is to be kept."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="lethe-chaos-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
