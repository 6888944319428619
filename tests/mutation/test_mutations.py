"""Each guard, taken out, turns its tests red. ``make mutation`` tries all of its parts."""

from pathlib import Path

import pytest

from tests.mutation.check import MutationError, check, mutate
from tests.mutation.mutations import MUTATIONS, Mutation

FIRST = {each.guard: each for each in reversed(MUTATIONS)}


@pytest.mark.clickhouse
@pytest.mark.parametrize("mutation", FIRST.values(), ids=lambda each: each.name.replace(" ", "-"))
def test_a_guard_that_is_missing_is_noticed(mutation: Mutation, tmp_path: Path) -> None:
    assert not check(mutation, tmp_path / "tree").survived


def test_a_change_that_breaks_nothing_is_told_from_one_that_does(tmp_path: Path) -> None:
    reader = "streams/lanes/reader.py"
    tests = ("tests/unit/lanes/test_reader.py::test_every_batch_is_taken_once_it_is_ready",)
    harmless = Mutation("", "", reader, "self.consumer.close()", "self.consumer.close();", tests)
    assert check(harmless, tmp_path / "tree").survived == list(tests)


def test_a_place_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("twice\ntwice\n")
    for before in ("twice", "never"):
        with pytest.raises(MutationError, match=r"file\.py"):
            mutate(Mutation("", "", "file.py", before, "", ()), tmp_path)
