"""docs/security-tracking.md shows the rules, the fields and the settings that there are."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.attacks import ATTACKS, MINUTES, PEOPLE, RUNS, alerts, benign, planted
from lethe.cli import app
from privacy.abuse import Attack, Rules
from privacy.pseudonym import address_token
from schemas.registry import latest
from sinks.salts import ADDRESSES, Salts
from streams.lanes.security import rules_of
from streams.metrics import REGISTRY
from streams.settings import Security
from streams.shared import now
from tests.real_log import REAL_LOG, needs_real_log

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/security-tracking.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"(?s)```{language}\n(.*?)```", TEXT)
    assert isinstance(found, str)
    return found


def test_the_rules_that_are_shown_are_those_that_there_are() -> None:
    table = TEXT.partition("| `kind` |")[2].partition("\n\n")[0]
    shown = re.findall(r"(?m)^\| `(\w+)` \|.*\| (\d+) \| (\d+) s \|$", table)
    rules = Rules()
    assert shown == [
        (each, str(rules.rule(each).count), str(rules.rule(each).seconds)) for each in Attack
    ]


def test_the_settings_that_are_shown_are_the_defaults() -> None:
    written = Security.model_validate(tomllib.loads(block("toml"))["security"])
    assert written == Security()
    assert set(tomllib.loads(block("toml"))["security"]) == set(Security.model_fields)
    assert rules_of(written) == Rules()


def test_each_field_of_a_request_is_told_of_and_no_other() -> None:
    table = TEXT.partition("| field | what |")[2].partition("\n\n")[0]
    first = (line.split("|")[1] for line in table.splitlines()[2:])
    assert {each for cell in first for each in re.findall("`([^`]+)`", cell)} == set(
        latest("access").fields
    )


def test_each_metric_exists() -> None:
    known = {sample.name for metric in REGISTRY.collect() for sample in metric.samples}
    known |= {f"{metric.name}_total" for metric in REGISTRY.collect() if metric.type == "counter"}
    assert set(re.findall(r"lethe_\w+", TEXT)) <= known


@pytest.mark.parametrize("command", [each for each in block("sh").splitlines() if each])
def test_what_is_to_be_typed_exists(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What needs no broker is run; of the rest, each option is one that there is."""
    monkeypatch.chdir(tmp_path)
    visit = '192.0.2.7 - - [22/Oct/2026:09:30:00 +0000] "GET /{}.zip HTTP/1.1" 404 5 "-" "B/1"\n'
    Path("access.log").write_text("".join(visit.format(n) for n in range(30)))
    lethe, *words = command.split()
    assert lethe == "lethe"
    if "alerts" in words:
        told = CliRunner().invoke(app, [*words[:2], "--help"]).output
        assert all(each in told for each in words if each.startswith("--"))
        return
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert ("scan: 1" in done.output) == ("try" in words)
    assert "192.0.2.7" not in done.output


def test_an_address_can_be_given_where_no_list_of_processes_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    salt = Salts.under(tmp_path / ".lethe", ADDRESSES).current(now())
    done = CliRunner().invoke(app, ["security", "token", "-"], input="192.0.2.7\n")
    assert done.output.split() == [address_token(salt, "192.0.2.7")]
    assert CliRunner().invoke(app, ["security", "token", "-"], input="nobody\n").exit_code == 2


@needs_real_log
def test_a_real_log_raises_as_few_alerts_as_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def tried(**rules: int) -> str:
        given = {f"LETHE_SECURITY__{name}": str(count) for name, count in rules.items()}
        done = CliRunner().invoke(app, ["security", "try", str(REAL_LOG)], env=given)
        assert done.exit_code == 0, done.output
        return done.output

    lines = REAL_LOG.read_text().splitlines()
    addresses = len({line.split(" ")[0] for line in lines})
    (row,) = re.findall(
        r"(?m)^\| ([\d,]+) \| a public server log .*: (\d+) addr.* \| (\d+) \|$", TEXT
    )
    assert row == (f"{len(lines):,}", str(addresses), "0")
    assert f"no alert in {len(lines):,} requests" in tried()
    assert "no alert" in tried(FLOOD=100, SCAN=5, BRUTE_FORCE=5)
    assert "flood: " in tried(FLOOD=60), "who sent most is seen"


@pytest.mark.parametrize("kind", Attack)
def test_an_attack_is_found_after_as_long_as_is_published(kind: Attack) -> None:
    began = ATTACKS[kind][0].at
    near = [each for each in benign(0) if abs(each.at - began) < 300_000]  # all that counts
    (first, *_) = alerts(planted(kind, near), Rules())
    seconds = (first.at - began) / 1_000
    assert re.search(rf"\s{seconds:.2g} s of\s", TEXT), seconds


def test_the_runs_that_are_published_are_those_of_the_bench() -> None:
    (row,) = re.findall(r"made up, (\d+) times (\d+) hours of ([\d,]+) people", TEXT)
    assert row == (str(RUNS), str(MINUTES // 60), f"{PEOPLE:,}")


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", TEXT):
        assert (ROOT / "docs" / link).is_file(), link
