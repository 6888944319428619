"""What docs/holders.md shows can be run and is true of the code."""

import ast
import re
import tomllib
from pathlib import Path

from typer.testing import CliRunner

import lethe
from lethe import RetentionWorker, RightsWorker
from lethe.cli import app
from lethe.rights import MOST_CONTENT, HoldKind
from schemas.registry import topics_of

TEXT = (Path(__file__).parents[2] / "docs/holders.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_examples_import_what_there_is() -> None:
    for block in blocks("python"):
        [imports] = [each for each in ast.parse(block).body if isinstance(each, ast.ImportFrom)]
        assert imports.module == "lethe"
        assert {each.name for each in imports.names} <= set(lethe.__all__)
    assert tomllib.loads(blocks("toml")[0])["holders"]["crm"]["services"]


def test_topics_groups_kinds_and_limits_are_those_of_the_workers() -> None:
    for worker in (RetentionWorker, RightsWorker):
        named = ", ".join(f"`{each}`" for each in worker.records)
        assert f"| {named} | `{worker.group.format('<holder>')}` | read |" in TEXT
        assert worker.records.keys() <= topics_of(holders=["crm"]).keys()
    for kind in HoldKind:
        assert f"| `Hold`, `{kind}` | `holds` |" in TEXT
    assert f"{MOST_CONTENT:,} bytes" in TEXT


def test_its_commands_are_there() -> None:
    for line in blocks("sh")[0].splitlines():
        _, *words = line.split()
        helped = CliRunner().invoke(app, [*words, "--help"])
        assert helped.exit_code == 0, line
