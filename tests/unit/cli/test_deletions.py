"""``lethe deletions``, as typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from privacy.certificate import Outcome, Receipt
from sinks.ledger import cases, deletion
from sinks.ledger.cases import Deletion
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer, make_missing
from streams.deletion.certify import Certifier
from streams.settings import load
from streams.shared import now

Lethe = Callable[..., Result]
Ask = Callable[..., None]
HOUR_MS = 3_600_000


@pytest.fixture
def ask(ledger: Ledger) -> Ask:
    """Have a case deleted, up to where its holders are asked; complete it if they answered."""
    secrets = load().secrets
    make_missing(secrets)
    certifier = Certifier(
        ledger, Signer.under(secrets), controller="Example Trading", policy="1", clock=now
    )

    def asked(case_id: str, holders: list[str], *answered: str, hours: int = 24) -> None:
        at = now()
        new = Deletion(
            f"d-{case_id}", case_id, "samples", ["sales"], holders, "delivered", "e-1",
            at, at + hours * HOUR_MS,
        )  # fmt: skip
        said = [(f"d-{case_id}", Receipt(each, Outcome.DONE, at)) for each in answered]
        with ledger.transaction() as connection:
            cases.end(connection, [new])
            deletion.shred(connection, [case_id], at)
            deletion.unreadable(connection, [case_id], at)
            deletion.announced(connection, [case_id], at)
            deletion.receive(connection, said)
        with ledger.transaction() as connection:
            certifier.complete(connection, [f"d-{case_id}"])

    return asked


def rows(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.output)
    return found


def test_deletions_are_shown_with_their_steps_and_whom_they_wait_for(
    lethe: Lethe, ask: Ask
) -> None:
    ask("a", ["crm", "mail"], "mail")
    (row,) = rows(lethe("deletions", "--format", "json"))
    assert (row["deletion_id"], row["cause"], row["waits_for"]) == ("d-a", "delivered", "crm")
    assert row["announced_at"] is not None
    assert row["completed_at"] is None
    assert "d-a" in lethe("deletions").output


def test_only_what_is_past_its_deadline_is_overdue(lethe: Lethe, ask: Ask) -> None:
    ask("a", ["crm"])
    ask("done", [], hours=-1)
    result = lethe("deletions", "--overdue")
    assert (result.exit_code, result.output) == (0, "Nothing is overdue.\n")
    ask("b", ["crm"], hours=-1)
    result = lethe("deletions", "--overdue", "--format", "json")
    assert result.exit_code == 1
    assert [each["deletion_id"] for each in rows(result)] == ["d-b"]


def test_a_certificate_is_read_exported_and_verified(lethe: Lethe, ask: Ask) -> None:
    ask("a", ["crm"], "crm")
    text = lethe("deletions", "certificate", "a").output
    assert "Certificate of deletion d-a" in text
    assert "crm deleted what it held" in text
    Path("signed.json").write_text(
        lethe("deletions", "certificate", "d-a", "--format", "json").output
    )
    Path("public.pem").write_text(lethe("deletions", "key").output)
    for more in ((), ("--key", "public.pem")):
        result = lethe("deletions", "verify", "signed.json", *more)
        assert result.exit_code == 0, result.output
        assert "The signature holds." in result.output
        assert "Certificate of deletion d-a" in result.output


def test_a_certificate_that_was_changed_does_not_hold(lethe: Lethe, ask: Ask) -> None:
    ask("a", [])
    signed = lethe("deletions", "certificate", "a", "--format", "json").output
    Path("changed.json").write_text(signed.replace('"d-a"', '"d-b"'))
    result = lethe("deletions", "verify", "changed.json")
    assert result.exit_code == 1
    assert "not signed with this key" in result.output


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"certificate": {}}', '{"certificate": 1}'])
def test_what_is_no_certificate_is_said_to_be_none(lethe: Lethe, ask: Ask, text: str) -> None:
    del ask
    Path("none.json").write_text(text)
    result = lethe("deletions", "verify", "none.json")
    assert result.exit_code == 1
    assert "this is no certificate" in result.output


def test_what_is_not_complete_has_no_certificate(lethe: Lethe, ask: Ask) -> None:
    ask("a", ["crm"])
    result = lethe("deletions", "certificate", "a")
    assert result.exit_code == 1
    assert "not complete" in result.output
    assert "no such deletion" in lethe("deletions", "certificate", "x").output


def test_without_a_key_it_is_named(lethe: Lethe) -> None:
    result = lethe("deletions", "key")
    assert result.exit_code == 1
    assert "certificate-key" in result.output
