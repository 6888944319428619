"""What docs/cases.md shows can be run and is true of the code."""

import ast
import re
from pathlib import Path

import pytest

import lethe
from lethe.case_keys import AT_ONCE, CACHE_SECONDS
from streams.keys.app import MOST
from tests.commands import known

TEXT = (Path(__file__).parents[2] / "docs/cases.md").read_text()
COMMANDS = [
    line.split()[1:]
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_one(words: list[str]) -> None:
    with known(words) as (found, rest):
        found.make_context(words[0], rest)  # its arguments are understood; nothing is run


def test_the_sample_uses_what_the_sdk_has() -> None:
    (sample,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (imported,) = [each for each in ast.parse(sample).body if isinstance(each, ast.ImportFrom)]
    assert {each.name for each in imported.names} <= set(lethe.__all__)


def test_bounds_are_told_as_they_are() -> None:
    assert f"{CACHE_SECONDS:g} s at most" in TEXT
    assert AT_ONCE == MOST == 1_000
