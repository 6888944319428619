"""``lethe policy``, as typed."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lethe.cli import app
from sinks.ledger.ledger import Ledger
from streams.policy import record

Lethe = Callable[..., Result]


@pytest.fixture
def lethe(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Lethe:
    """Return ``lethe policy`` in a folder with a policy in ``p.toml``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("LETHE_DATA_DIR", "data")
    Path("p.toml").write_text(text)
    return lambda *words: CliRunner().invoke(app, ["policy", *words])


def test_check_says_that_a_policy_is_in_order(lethe: Lethe) -> None:
    result = lethe("check", "p.toml")
    assert result.exit_code == 0
    assert result.stdout == (
        "p.toml: in order; version 1: 4 services, 1 departments, 1 holders, 1 lists, 3 purposes, "
        "1 audiences, 2 providers\n"
    )


def flat(shown: str) -> str:
    """Return what tables show, without their lines."""
    return " ".join(re.sub(r"[│┃━─┏┓┗┛┌┐└┘├┤┡┩╇┼┬┴┳╋]", " ", shown).split())


@pytest.mark.parametrize("word", ["check", "show", "register"])
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
    assert lethe("check").stdout.startswith("p.toml: in order; version 1: ")


def test_without_a_policy_nothing_is_guessed(lethe: Lethe) -> None:
    result = lethe("check")
    assert result.exit_code == 2
    assert result.stderr == "no policy: name a FILE, or set policy in lethe.toml\n"


def test_show_tells_who_gets_what_on_which_consent(lethe: Lethe) -> None:
    result = lethe("show", "p.toml")
    assert result.exit_code == 0
    shown = flat(result.stdout)
    assert "Example Trading, privacy@www.example version 1" in shown
    assert "reading Seeing which pages are read analytics opt_out Art. 6(1)(f) GDPR" in shown
    assert "meta ads shop.example pages visited fbp" in shown
    assert "membership of buyers, as 120000000000001" in shown
    assert "the browser (raw user agent)" in shown
    assert "x ads shop.example a visit to /thanks, as ex4mp1 twclid" in shown
    assert "buyers shop.example visited /thanks* meta visited /orders/* did buy" in shown


def test_show_tells_who_reads_what_and_until_when(lethe: Lethe) -> None:
    shown = flat(lethe("show", "p.toml").stdout)
    assert "sales Sales sales@shop.example sample news visit poll" in shown
    assert "sample Samples Art. 6(1)(b) GDPR email the sample is delivered, or" in shown
    assert "crm Customer database sample US: standard contractual clauses" in shown
    assert "news Newsletter newsletter Art. 6(1)(f) GDPR" in shown


def test_show_tells_what_a_profile_is_made_of(lethe: Lethe) -> None:
    shown = flat(lethe("show", "p.toml").stdout)
    assert "profile visited on 3 of 90 days 180 days after the last sign /tea/green" in shown
    assert "tea Tea visited /tea* sought oolong" in shown
    assert "brewer Our brewer tea@www.example tea" in shown


def test_show_tells_who_answers_people_and_in_which_time(lethe: Lethe) -> None:
    shown = flat(lethe("show", "p.toml").stdout)
    assert "answered by Sales links in letters begin with" in shown
    assert "a link confirms a request for 72 h" in shown
    assert "a restriction is lifted 24 h after the notice" in shown
    assert "an objection does not end sample people would be harmed" in shown
    assert "other Another shop https://other.example/v1/portable US: an adequacy decision" in shown


def test_show_tells_all_of_one_service_and_its_form(lethe: Lethe) -> None:
    shown = flat(lethe("show", "p.toml", "--service", "sample").stdout)
    assert shown.startswith("sample: Samples")
    assert "kept until the sample is delivered, or the request is withdrawn" in shown
    assert "read by Sales also told the carrier" in shown
    assert "held outside by Customer database (crm), delete within 48 h" in shown
    assert "email E-mail address email yes yes size Size choice: small, large no no" in shown
    assert "Come and see" not in shown
    assert "name Name text no yes guest list badge" in flat(
        lethe("show", "p.toml", "--service", "visit").stdout
    )


def test_show_names_the_services_when_there_is_none_of_that_name(lethe: Lethe) -> None:
    result = lethe("show", "p.toml", "--service", "gift")
    assert result.exit_code == 2
    assert result.stderr == (
        "no such service in the policy; those are: sample, news, visit, poll\n"
    )


def test_show_gives_a_service_as_json(lethe: Lethe) -> None:
    shown = json.loads(lethe("show", "p.toml", "--service", "sample", "--format", "json").stdout)
    assert shown["deadline_hours"] == 48
    assert shown["fields"]["email"]["mandatory"] is True


def test_the_register_is_a_table_json_or_markdown(lethe: Lethe) -> None:
    table = flat(lethe("register", "p.toml").stdout)
    assert "Controller: Example Trading, privacy@www.example" in table
    assert "Samples Delivering samples" in table
    told = json.loads(lethe("register", "p.toml", "--format", "json").stdout)
    assert told["controller"]["name"] == "Example Trading"
    assert told["entries"][0]["transfers"] == [
        "Customer database: US (standard contractual clauses)"
    ]
    markdown = lethe("register", "p.toml", "--format", "markdown").stdout
    assert markdown.startswith("# Record of processing activities (Art. 30 GDPR)\n\n- **Version**")
    assert "\n\n## Samples\n\n- **Purposes**: Delivering samples\n" in markdown
    assert "- **Kept until**: the sample is delivered, or the request is withdrawn\n" in markdown


def test_history_lists_what_was_in_force_and_prints_one(lethe: Lethe, text: str) -> None:
    ledger = Ledger.open("sqlite:///data/ledger.db")
    record(ledger, text, "p.toml", 1_700_000_000_000)
    ledger.close()
    assert lethe("history").stdout == "2023-11-14 22:13:20Z  1\n"
    assert lethe("history", "1").stdout == text
    result = lethe("history", "2")
    assert result.exit_code == 1
    assert result.stderr == ("this version was never in force; lethe policy history lists them\n")


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
