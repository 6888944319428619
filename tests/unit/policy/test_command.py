"""``lethe policy``, as typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lethe.cli import app

Lethe = Callable[..., Result]


@pytest.fixture
def lethe(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Lethe:
    """Return ``lethe policy`` in a folder with a policy in ``p.toml``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    Path("p.toml").write_text(text)
    return lambda *words: CliRunner().invoke(app, ["policy", *words])


def test_check_says_that_a_policy_is_in_order(lethe: Lethe) -> None:
    result = lethe("check", "p.toml")
    assert result.exit_code == 0
    assert result.stdout == ("p.toml: in order; version 1, 2 purposes, 1 audiences, 2 providers\n")


@pytest.mark.parametrize("word", ["check", "show"])
def test_problems_go_to_standard_error_with_exit_1(lethe: Lethe, text: str, word: str) -> None:
    Path("p.toml").write_text(text.replace("version", "verzion", 1).replace('"buy"', '"Buy"'))
    result = lethe(word, "p.toml")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        "p.toml:1", "p.toml:1", "p.toml:22",
    ]  # fmt: skip


def test_the_policy_of_the_settings_is_taken_when_none_is_named(
    lethe: Lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_POLICY", "p.toml")
    assert lethe("check").stdout.startswith("p.toml: in order; version 1, ")


def test_without_a_policy_nothing_is_guessed(lethe: Lethe) -> None:
    result = lethe("check")
    assert result.exit_code == 2
    assert result.stderr == "no policy: name a FILE, or set policy in lethe.toml\n"


def test_show_tells_who_gets_what_on_which_consent(lethe: Lethe) -> None:
    result = lethe("show", "p.toml")
    assert result.exit_code == 0
    shown = " ".join(result.stdout.replace("│", " ").split())
    assert "Example Trading, privacy@www.example version 1" in shown
    assert "reading Seeing which pages are read analytics opt_out Art. 6(1)(f) GDPR" in shown
    assert "meta ads shop.example pages visited fbp" in shown
    assert "membership of buyers, as 120000000000001" in shown
    assert "the browser (raw user agent)" in shown
    assert "x ads shop.example a visit to /thanks, as ex4mp1 twclid" in shown
    assert "buyers shop.example visited /thanks* meta visited /orders/* did buy" in shown


def test_show_prints_what_stands_in_brackets(lethe: Lethe, text: str) -> None:
    Path("p.toml").write_text(text.replace("Measuring advertisements", "Ads [red]measured[/red]"))
    assert "Ads [red]measured[/red]" in lethe("show", "p.toml").stdout


def test_show_says_when_nobody_is_told(lethe: Lethe, text: str) -> None:
    Path("p.toml").write_text(text.partition("[purposes")[0])
    result = lethe("show", "p.toml")
    assert result.stdout.endswith("version 1\nNo ad provider is told anything.\n")


def test_show_gives_the_policy_as_json(lethe: Lethe) -> None:
    shown = json.loads(lethe("show", "p.toml", "--format", "json").stdout)
    assert shown["providers"]["x"]["conversions"][0] == {"page": "/thanks", "id": "ex4mp1"}
    assert shown["purposes"]["ads"]["mode"] == "opt_in"
