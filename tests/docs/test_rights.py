"""What docs/rights.md shows can be run and is true of the code."""

import ast
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

import lethe
from privacy.rights.plan import ARTICLES
from privacy.rights.request import GROUNDS, Right, problems
from schemas.registry import topics
from streams import metrics, policy, rights
from streams.collector import requests as entrance
from streams.rights import lane, visitors
from streams.rights.cases import IN_TIME_MS
from streams.rights.transfer import FOLDER
from tests.commands import known

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/rights.md").read_text()
POLICY = policy.load(ROOT / "deploy/policy/reference.toml")
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("lethe ")
]
HOUR_MS = 3_600_000


def rows(head: str) -> Mapping[str, tuple[str, ...]]:
    """Return the table under a head, each row by its first cell without marks."""
    (after,) = re.findall(rf"^{re.escape(head)}\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    cells = ([each.strip() for each in line.split("|")[1:-1]] for line in after.splitlines())
    return {first.strip("`"): tuple(rest) for first, *rest in cells}


def words(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


@pytest.mark.parametrize("line", COMMANDS, ids=" ".join)
def test_every_command_is_one(line: list[str], tmp_path: Path) -> None:
    words = [str(tmp_path) if each.endswith(".csv") else each for each in line]
    with known(words) as (found, rest):
        found.make_context(words[0], rest)  # its arguments are understood; nothing is run


def test_every_right_and_ground_is_explained_and_no_other() -> None:
    told = rows("| `right` | article | what else may be named |")
    assert list(told) == list(Right)
    grounds = rows("| of | grounds |")
    assert {Right(name): tuple(words(each)) for name, (each,) in grounds.items()} == GROUNDS
    assert {name for name, (_, more) in told.items() if "`ground`" in more} == set(GROUNDS)
    assert list(rows("| right | in the pipeline | at holders outside |")) == list(Right)


def test_every_refusal_is_told_with_its_article() -> None:
    assert {name: by for name, (_, by) in rows("| reason | when | by |").items()} == ARTICLES


def test_the_request_that_is_shown_is_taken() -> None:
    (body,) = re.findall(r"/v1/requests .*?-d '(.*?)'", TEXT, re.DOTALL)
    assert list(problems(POLICY, json.loads(body))) == []


def test_requests_on_the_command_line_name_what_the_policy_has() -> None:
    assert POLICY.rights is not None
    (to,) = re.findall(r"--transfer-to (\S+)", TEXT)
    assert to in POLICY.rights.controllers
    (field,) = re.findall(r"--correct (\w+)=", TEXT)
    assert any(field in each.fields for each in POLICY.services.values())


def test_samples_use_what_the_sdk_has() -> None:
    for sample in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        (imported,) = [each for each in ast.parse(sample).body if isinstance(each, ast.ImportFrom)]
        assert {each.name for each in imported.names} <= set(lethe.__all__)


def test_the_worker_has_the_parts() -> None:
    (parts,) = [line for line in COMMANDS if line[0] == "worker"]
    assert set(parts[2::2]) == set(rights.LOOPS)


def test_metrics_have_these_names() -> None:
    total = {"counter": "_total"}
    made = {each.name + total.get(each.type, "") for each in metrics.REGISTRY.collect()}
    assert set(rows("| metric | what |")) <= made


def test_bounds_are_told_as_they_are() -> None:
    assert entrance.A_DAY == lane.A_DAY == 5
    assert "five times\na day" in TEXT
    assert IN_TIME_MS == 72 * HOUR_MS
    assert visitors.LATE_MS == 25 * HOUR_MS
    assert lane.MONTH_MS == 31 * 24 * HOUR_MS
    kept = {name: int(topics()[name].config["retention.ms"]) // HOUR_MS for name in (
        "subject-requests", "tracking-events", "consent-changes",
    )}  # fmt: skip
    assert kept == {"subject-requests": 24, "tracking-events": 24, "consent-changes": 7 * 24}
    assert f"`<secrets>/{FOLDER}/<name>`" in TEXT


def test_a_controller_gets_the_headers_that_are_told() -> None:
    source = (ROOT / "streams/rights/sending.py").read_text()
    sent = re.findall(r'^        "([A-Z][A-Za-z-]+)": ', source, re.MULTILINE)
    assert list(rows("| header | what |")) == sent
