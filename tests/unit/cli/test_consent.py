"""``lethe consent``, as typed."""

import csv
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from privacy.consent import Decision
from sinks.ledger import consents, withdrawals
from sinks.ledger.ledger import Ledger, LedgerError

GIVEN, REFUSED, WITHDRAWN, OBJECTED = Decision
SITE = "shop.example"
Lethe = Callable[..., Result]
Change = Callable[..., None]


@pytest.fixture
def purposes(lethe: Lethe) -> Callable[[], dict[str, Any]]:
    """Return what show tells of c-1, by purpose."""

    def show() -> dict[str, Any]:
        result = lethe("consent", "show", SITE, "c-1", "--format", "json")
        assert result.exit_code == 0, result.output
        return {each.pop("purpose"): each for each in json.loads(result.stdout)["purposes"]}

    return show


def words(result: Result) -> str:
    return " ".join(result.stdout.replace("│", " ").split())


@pytest.mark.usefixtures("ledger")
def test_who_was_never_asked_is_to_be_asked(lethe: Lethe) -> None:
    result = lethe("consent", "show", SITE, "c-1", "--format", "json")
    shown = json.loads(result.stdout)
    assert (result.exit_code, shown["epoch"]) == (0, 0)
    assert {each["purpose"]: each["answer"] for each in shown["purposes"]} == {
        "reading": "yes",  # opt-out: until a no
        "ads": "ask",
    }
    assert "c-1" not in result.stderr
    assert result.stderr == f"nothing is recorded of this visitor of {SITE}\n"


def test_what_holds_is_shown_with_its_beginning_and_notice(
    change: Change, purposes: Callable[[], dict[str, Any]]
) -> None:
    change(1, REFUSED, notice_version="2026-09")
    change(4, GIVEN)
    change(7, GIVEN, notice_version="2026-11")  # again: the decision of 4 stands
    change(8, OBJECTED, "reading", how="settings", notice_version="2026-11")
    assert purposes() == {
        "reading": {
            "answer": "no",
            "decision": "objected",
            "since": "2026-11-24T08:48:20.008Z",
            "epoch": 9,
            "notice_id": "cookies",
            "notice_version": "2026-11",
            "how": "settings",
        },
        "ads": {
            "answer": "yes",
            "decision": "given",
            "since": "2026-11-24T08:48:20.004Z",
            "epoch": 5,
            "notice_id": "cookies",
            "notice_version": "2026-10",
            "how": "banner",
        },
    }


def test_a_consent_of_another_site_or_visitor_is_not_shown(
    change: Change, purposes: Callable[[], dict[str, Any]]
) -> None:
    change(1, GIVEN, site="www.example")
    change(2, GIVEN, visitor="c-2")
    assert purposes()["ads"]["answer"] == "ask"


def test_a_purpose_that_left_the_policy_has_no_answer(
    change: Change, purposes: Callable[[], dict[str, Any]]
) -> None:
    change(1, GIVEN, "remarketing")
    told = purposes()["remarketing"]
    assert (told["answer"], told["decision"]) == (None, "given")


def test_a_no_that_could_not_be_read_has_no_proof(
    ledger: Ledger, change: Change, purposes: Callable[[], dict[str, Any]]
) -> None:
    change(1, GIVEN)
    with ledger.transaction() as connection:
        consents.deny(
            connection, SITE, "c-1", partition=3, offset=5, recorded_at=9, purposes=["ads"]
        )
    told = purposes()["ads"]
    assert (told["answer"], told["since"], told["epoch"]) == ("no", None, 6)


def test_show_prints_a_table(lethe: Lethe, change: Change) -> None:
    change(4, GIVEN)
    result = lethe("consent", "show", SITE, "c-1")
    assert f"What c-1 chose on {SITE}" in result.stdout
    assert "ads yes given 2026-11-24T08:48:20.004Z 5 cookies 2026-10 banner" in words(result)
    assert result.stderr == ""


def test_history_is_every_change_with_its_proof(
    lethe: Lethe, ledger: Ledger, change: Change
) -> None:
    change(4, GIVEN)
    change(7, WITHDRAWN, notice_version="2026-11", language=None, how="settings")
    with ledger.transaction() as connection:
        withdrawals.settle(connection, 3, 7, 1_795_510_101_000)
    first, second = json.loads(lethe("consent", "history", SITE, "c-1", "--format", "json").stdout)
    assert (first["decision"], first["effective_at"], first["language"]) == ("given", None, "nl-BE")
    assert second == {
        "site": SITE,
        "cookie_id": "c-1",
        "recorded_at": "2026-11-24T08:48:20.007Z",
        "effective_at": "2026-11-24T08:48:21.000Z",
        "purpose": "ads",
        "decision": "withdrawn",
        "notice_id": "cookies",
        "notice_version": "2026-11",
        "language": None,
        "how": "settings",
        "occurred_at": "2026-11-24T08:46:40.007Z",
        "epoch": 8,
        "change_id": "change-7",
        "partition": 3,
        "offset": 7,
    }
    table = words(lethe("consent", "history", SITE, "c-1"))
    assert (
        "2026-11-24T08:48:20.007Z 2026-11-24T08:48:21.000Z ads withdrawn cookies 2026-11 settings"
        in table
    )


@pytest.mark.usefixtures("ledger")
def test_no_history_is_said(lethe: Lethe) -> None:
    result = lethe("consent", "history", SITE, "c-1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing is recorded" in result.stderr
    assert lethe("consent", "history", SITE, "c-1", "--format", "json").stdout == "[]\n"


def test_export_has_every_visitor_of_the_site_and_of_no_other(lethe: Lethe, change: Change) -> None:
    change(1, GIVEN, visitor="c-2")
    change(2, GIVEN)
    change(3, WITHDRAWN, visitor="c-2")
    change(4, GIVEN, site="www.example")
    result = lethe("consent", "export", "--site", SITE)
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [(row["cookie_id"], row["decision"], row["effective_at"]) for row in rows] == [
        ("c-1", "given", ""),
        ("c-2", "given", ""),
        ("c-2", "withdrawn", ""),
    ]
    assert result.stderr == f"3 changes of {SITE}\n"
    exported = json.loads(lethe("consent", "export", "--site", SITE, "--format", "json").stdout)
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in exported] == rows


@pytest.mark.usefixtures("ledger")
def test_an_empty_export_is_readable(lethe: Lethe) -> None:
    assert lethe("consent", "export", "--site", SITE).stdout.startswith("site,cookie_id,")
    assert lethe("consent", "export", "--site", SITE, "--format", "json").stdout == "[]\n"


@pytest.mark.parametrize("before", [None, "older"])
def test_an_exported_file_is_its_owners_alone(
    lethe: Lethe, change: Change, before: str | None
) -> None:
    change(1, GIVEN)
    if before:
        Path("proof.csv").write_text(before)
        Path("proof.csv").chmod(0o644)
    result = lethe("consent", "export", "--site", SITE, "--output", "proof.csv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path("proof.csv").read_text() == lethe("consent", "export", "--site", SITE).stdout
    assert stat.S_IMODE(Path("proof.csv").stat().st_mode) == 0o600


def test_a_proof_that_broke_off_is_not_left_behind(
    lethe: Lethe, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(1, GIVEN)
    whole = consents.export

    def broken(connection: Any, site: str) -> Any:
        yield from whole(connection, site)
        raise LedgerError("SQLITE_IOERR")

    monkeypatch.setattr(consents, "export", broken)
    before = set(Path().iterdir())
    result = lethe("consent", "export", "--site", SITE, "--output", "proof.csv")
    assert (result.exit_code, result.stderr) == (1, "lethe consent: the ledger: SQLITE_IOERR\n")
    assert set(Path().iterdir()) == before


@pytest.mark.usefixtures("ledger")
def test_an_export_is_not_put_in_the_place_of_a_device(lethe: Lethe) -> None:
    os.mkfifo("proof.csv")
    assert lethe("consent", "export", "--site", SITE, "--output", "proof.csv").exit_code == 2
    assert Path("proof.csv").is_fifo()


@pytest.mark.usefixtures("ledger")
def test_an_export_is_written_while_it_is_read(
    lethe: Lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def many(connection: Any, site: str) -> Any:
        del connection
        for offset in range(20_000):
            if offset == 19_999:
                (part,) = Path().glob(".proof.csv.*")
                written.append(part.stat().st_size)
            yield consents.ConsentChange(
                site, "c-1", offset, 3, f"change-{offset}", "ads", GIVEN, None, None, None, "gpc",
                1, 2,
            )  # fmt: skip

    monkeypatch.setattr(consents, "export", many)
    assert lethe("consent", "export", "--site", SITE, "--output", "proof.csv").exit_code == 0
    assert written[0] > 1_000_000


@pytest.mark.parametrize(
    "command", [["show", SITE, "c-1"], ["history", SITE, "c-1"], ["export", "--site", SITE]]
)
def test_a_missing_ledger_is_not_an_empty_one(lethe: Lethe, command: list[str]) -> None:
    result = lethe("consent", *command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("lethe consent: no ledger at .lethe/ledger.db; ")
    assert "c-1" not in result.stderr
    assert not Path(".lethe").exists()


def test_without_a_policy_nobody_says_what_may_be_done(
    lethe: Lethe, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(1, GIVEN)
    monkeypatch.delenv("LETHE_POLICY")
    result = lethe("consent", "show", SITE, "c-1")
    assert result.exit_code == 1
    assert result.stderr.startswith("lethe consent: policy: name the policy file")
    assert lethe("consent", "history", SITE, "c-1").exit_code == 0


def test_a_broken_ledger_is_one_message(lethe: Lethe) -> None:
    Path(".lethe").mkdir()
    Path(".lethe/ledger.db").write_bytes(b"c-1 is no database" * 100)
    result = lethe("consent", "history", SITE, "c-1")
    assert (result.exit_code, result.stderr) == (1, "lethe consent: the ledger: SQLITE_NOTADB\n")


def test_a_wrong_address_of_the_ledger_is_one_message(
    lethe: Lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("no url", "mysql://host/lethe"):
        monkeypatch.setenv("LETHE_LEDGER", wrong)
        result = lethe("consent", "history", SITE, "c-1")
        assert result.exit_code == 1
        assert result.stderr.startswith("lethe consent: ")
        assert wrong not in result.stderr
