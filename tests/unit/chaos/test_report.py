"""The rows of the rig and their table; what is in a file is not run again."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos import plan
from tests.chaos.acked import Acked, Kind, lines
from tests.chaos.faults import Fault
from tests.chaos.report import Row, all_is_well, markdown, read, report, summed, table
from tests.chaos.stack import ChaosError

GOOD = Row("broker killed", 2, 1_234, 0, 0, 0, 0, 0, seed=7)
BAD = Row("broker killed", 1, 10, 0, 1, 0, 0, 0, seed=7, note="of three")


def test_rows_are_kept_and_summed_by_fault(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    report(file, GOOD)
    report(file, BAD, Row("clock", 4, 5, 0, 0, 0, 0, 0, seed=8))
    with file.open("a") as broken:
        broken.write('{"fault": "broke o')
    found = read(file)
    assert found[:2] == [GOOD, BAD]
    first, second = summed(found)
    assert (first.times, first.in_flight, first.doubled, first.note) == (3, 1_244, 1, "of three")
    assert second.fault == "clock"


@pytest.mark.parametrize(
    "kind", ["lost", "doubled", "without_consent", "left_behind", "out_of_order"]
)
def test_all_is_well_only_if_nothing_is_wrong(kind: str) -> None:
    assert all_is_well([GOOD])
    assert not all_is_well([])
    wrong = Row(**{**{name: getattr(GOOD, name) for name in GOOD.__slots__}, kind: 1})
    assert not all_is_well([GOOD, wrong])


def test_the_table_shows_faults_counts_and_seed() -> None:
    console = Console(width=140)
    with console.capture() as shown:
        console.print(table([GOOD, BAD]))
    text = shown.get()
    assert "seed 7" in text
    assert "1,244" in text
    assert markdown([GOOD, BAD]).splitlines()[2].startswith("| broker killed | 3 | 1,244 | 0 | 1 |")


def test_what_is_acknowledged_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "acked.jsonl"
    acked = Acked(file)
    acked.tried(Kind.POISON, [{}])
    acked.acked(Kind.POISON, [{"place": "t:0:1"}])
    acked.close()
    assert [(each.kind, each.acked, each.items) for each in lines(file)] == [
        (Kind.POISON, False, [{}]),
        (Kind.POISON, True, [{"place": "t:0:1"}]),
    ]


def test_a_seed_gives_the_same_plan_and_another_seed_another() -> None:
    first = plan.episodes("ci", 1)
    assert first == plan.episodes("ci", 1) != plan.episodes("ci", 2)
    counts = {each.name: first.count(each) for each in first}
    assert counts == {name: each.ci for name, each in plan.FAULTS.items() if each.ci}
    grounds = [plan.ground_of(each) for each in first]
    assert grounds == sorted(grounds, key=list(plan.GROUNDS).index), "each ground is made once"


def test_what_is_in_the_file_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.jsonl"
    order = [each.name for each in plan.episodes("ci", 5)]
    ran: list[str] = []

    class Slice:
        def __init__(self, *_: object) -> None:
            self.episodes: list[str] = []

        def burn(self, waiting: list[Fault], minutes: float) -> None:
            assert minutes == 60.0
            self.episodes = [each.name for each in waiting[:7]]
            ran.extend(self.episodes)
            if len(ran) == 14:
                raise KeyboardInterrupt

        def rows(self, seed: int, upto: int, its: str) -> list[Row]:
            return [Row("any", 1, 1, 0, 0, 0, 0, 0, seed, upto=upto, plan=its)]

    monkeypatch.setattr(plan, "Slice", Slice)
    for name, (_, offers) in plan.GROUNDS.items():
        monkeypatch.setitem(plan.GROUNDS, name, (nullcontext, offers))
    monkeypatch.setattr(plan, "reached", lambda _, standins: standins)
    run = partial(plan.run, "ci", 5, file, lambda _: None, offered={plan.apart.MOUNTS})
    with pytest.raises(KeyboardInterrupt):
        run()
    assert ran == order[:14]
    run()
    assert ran == [*order[:14], *order[7:]], "what was not reported is run again, and no more"
    run()
    assert len(ran) == len(order) + 7
    with pytest.raises(ChaosError, match="name another file"):
        run(only=["broker killed"])


def test_a_disk_that_cannot_be_mounted_is_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "GROUNDS", {})
    monkeypatch.setattr(plan, "ground_of", lambda _: "none")
    monkeypatch.setattr(plan, "FAULTS", {each.name: each for each in plan.disks.FAULTS})
    monkeypatch.setattr(plan, "episodes", lambda *_: list(plan.disks.FAULTS))
    file = tmp_path / "results.jsonl"
    plan.run("ci", 5, file, lambda _: None, offered=())
    assert {(each.fault, each.times) for each in read(file)} == {
        (each.name, 0) for each in plan.disks.FAULTS
    }
