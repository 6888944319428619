"""What docs/profiles.md shows can be run and is true of the code."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe.cli import app
from privacy.profile import HALF_LIFE_DAYS, City, pseudonym
from privacy.suggestions import FEWEST, MOST
from privacy.tracking import DAY_MS
from sinks.keys.intake import make_missing, profile_key
from sinks.ledger import profiles
from sinks.ledger.ledger import Ledger
from sinks.ledger.profiles import Seen, Signs
from streams.collector.profile import EMPTY, PATH
from streams.profiles import LOOPS, UPKEEP_SECONDS
from streams.settings import load
from streams.shared import ledger_url, now

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/profiles.md").read_text()
COMMANDS = [
    line.split()[1:]
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("lethe ")
]


def test_every_command_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LETHE_POLICY", str(ROOT / "deploy/policy/reference.toml"))
    monkeypatch.setenv("COLUMNS", "200")
    settings = load()
    make_missing(settings.secrets)
    mine = pseudonym(profile_key(settings.secrets), "shop.example", "c-2f81")
    today = now() // DAY_MS
    ledger = Ledger.open(ledger_url(settings))
    with ledger.transaction() as connection:
        signs = {Seen(mine, "training", today): 2, Seen("old", "training", today - 181): 1}
        profiles.add(connection, Signs([Seen(mine, City("BE", "Gent"), today)], signs))
    said = {}
    for words in COMMANDS:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        said[words[1]] = result.stdout
    assert said["count"] == "2\n"
    assert "Gent, BE" in said["show"]
    assert said["expire"] == "1 profiles are deleted\n"
    shown = CliRunner().invoke(app, [*COMMANDS[1], "--format", "json"])
    told = {each["what"]: each["told"] for each in json.loads(shown.stdout)}
    assert told == {"Gent, BE": False, "training": True}
    nobody = CliRunner().invoke(app, [*COMMANDS[1][:-1], "c-0000"])
    assert (nobody.exit_code, nobody.stdout) == (0, "")
    with ledger.reading() as connection:
        assert profiles.count(connection) == 1
    ledger.close()


def test_without_profiles_in_the_policy_there_is_nothing_to_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LETHE_POLICY", str(ROOT / "deploy/policy/minimal.toml"))
    result = CliRunner().invoke(app, COMMANDS[1])
    assert result.exit_code == 1
    assert "describe them in [profiles]" in result.stderr


def test_bounds_and_names_are_told_as_they_are() -> None:
    assert f"After {HALF_LIFE_DAYS} days a sign counts half" in TEXT
    assert f"at least {FEWEST} profiles share" in TEXT
    assert MOST == 5
    assert "five of each at most" in TEXT
    assert UPKEEP_SECONDS == 300
    assert all(f"`{name}`" in TEXT for name in LOOPS)
    assert PATH in TEXT
    (sample,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert json.loads(sample).keys() == EMPTY.keys()
