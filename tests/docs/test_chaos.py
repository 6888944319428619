"""What docs/chaos.md says is injected and counted is what the rig does."""

import re
from pathlib import Path

from tests.chaos.check import INVARIANTS
from tests.chaos.plan import FAULTS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/chaos.md").read_text()


def test_every_fault_is_named_with_how_often_it_comes() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \|$", TEXT, re.MULTILINE)
    assert {name: (int(ci), int(nightly)) for name, ci, nightly in rows} == {
        name: (each.ci, each.nightly) for name, each in FAULTS.items()
    }


def test_every_invariant_is_explained() -> None:
    assert re.findall(r"^\| (I\d+) \|", TEXT, re.MULTILINE) == list(INVARIANTS)


def test_the_commands_are_there() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*re.findall(r"`make ([\w-]+)", TEXT)} <= {*targets}
