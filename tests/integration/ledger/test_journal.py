"""What is erased is in the journal before the ledger commits it; nothing else is (S3, S20)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, event

from sinks.ledger import answers, cases, holds, inbox, journal, keys, suppressed, unsubscribed
from sinks.ledger.answers import Answer
from sinks.ledger.cases import Deletion
from sinks.ledger.holds import Hold, Kind, Whose
from sinks.ledger.journal import Journal, JournalError
from sinks.ledger.ledger import JOURNAL, Ledger, LedgerError, isolated

DELETION = Deletion("d-1", "case-1", "samples", ["sales"], ["crm"], "delivered", "e-1", 1, 2)
ANSWER = Answer("a-1", "r-1", "copy.json", "application/json", b"sealed", 1, 10**15)


@pytest.fixture
def erasures(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "erasures")


@pytest.fixture
def kept(url: URL, erasures: Journal) -> Iterator[Ledger]:
    opened = Ledger.open(url, erasures)
    yield opened
    opened.close()


def kinds(erasures: Journal) -> list[str]:
    return [each["kind"] for each in erasures.notes(0)]


def test_each_erasure_is_noted_by_ids_alone(kept: Ledger, erasures: Journal) -> None:
    person = Hold("h-1", Kind.RESTRICTION, "subject-hash", None, None, None, "x", 1)
    visitor = Hold("h-2", Kind.RESTRICTION, None, "shop", "cookie-of-somebody", None, "x", 1)
    with kept.transaction() as connection:
        answers.put(connection, ANSWER)
        holds.place(connection, person)
        holds.place(connection, visitor)
    with kept.transaction() as connection:
        cases.end(connection, [DELETION])
        keys.shred(connection, ["case-1"])
        suppressed.put(connection, "subject-hash", 5, "r-1")
        unsubscribed.add(connection, "news", "subject-hash", 5)
        holds.lift(connection, "h-1", Whose.SUBJECT)
        answers.take(connection, "a-1", 7)
    assert kinds(erasures) == [
        "held", "held", "ended", "shredded", "erased", "unsubscribed", "lifted", "taken",
    ]  # fmt: skip
    text = "".join(each.read_text() for each in erasures.folder.iterdir())
    assert "cookie-of-somebody" not in text
    assert 'sealed": "' not in text
    held = [each["hold"] for each in erasures.notes(0) if each["kind"] == "held"]
    assert held[1]["visitor"] == journal.of_visitor("shop", "cookie-of-somebody")


def end_and_fail(connection: Connection) -> None:
    cases.end(connection, [DELETION])
    raise ZeroDivisionError


def test_nothing_is_noted_of_what_is_undone(kept: Ledger, erasures: Journal) -> None:
    with pytest.raises(ZeroDivisionError), kept.transaction() as connection:
        end_and_fail(connection)
    with kept.transaction() as connection:
        with pytest.raises(ZeroDivisionError), isolated(connection):
            end_and_fail(connection)
        unsubscribed.add(connection, "news", "s", 5)
    assert kinds(erasures) == ["unsubscribed"]


def test_nothing_is_erased_that_cannot_be_noted(
    kept: Ledger, erasures: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal.os, "fsync", full)
    with pytest.raises(LedgerError, match="journal"), kept.transaction() as connection:
        cases.end(connection, [DELETION])
    monkeypatch.undo()
    with kept.reading() as connection:
        assert cases.deleted(connection, ["case-1"]) == set()
    with kept.transaction() as connection:
        cases.end(connection, [DELETION])
    assert kinds(erasures)[-1] == "ended"


def test_it_is_on_the_disk_before_the_commit(kept: Ledger, erasures: Journal) -> None:
    """The commit fails; the note is there, and the erasure is tried again."""

    class PowerCutError(Exception):
        pass

    def cut(_: Any) -> None:
        assert kinds(erasures) == ["ended"]
        raise PowerCutError

    event.listen(kept._engine, "commit", cut)
    with pytest.raises(PowerCutError), kept.transaction() as connection:
        cases.end(connection, [DELETION])
    event.remove(kept._engine, "commit", cut)


def test_the_ledger_knows_its_journals(kept: Ledger, erasures: Journal, tmp_path: Path) -> None:
    with kept.reading() as connection:
        assert not inbox.marks(connection, JOURNAL), "nothing was erased yet"
    with kept.transaction() as connection:
        unsubscribed.add(connection, "news", "s", 5)
    identity = erasures.identity()
    assert identity is not None
    with kept.reading() as connection:
        assert inbox.marks(connection, JOURNAL) == {identity.id: identity.since}
    assert {each.stat().st_mode & 0o777 for each in (tmp_path / "erasures").iterdir()} == {0o600}
    assert (tmp_path / "erasures").stat().st_mode & 0o777 == 0o700


def test_a_line_that_a_full_disk_cut_off_hides_no_other(erasures: Journal) -> None:
    erasures.write([{"kind": "a"}])
    (file,) = erasures.folder.glob("*.jsonl")
    with file.open("a") as out:
        out.write('{"kind": "cut o')
    erasures.write([{"kind": "b"}])
    assert kinds(erasures) == ["a", "b"]


def test_what_is_old_is_forgotten_and_the_journal_begins_later(erasures: Journal) -> None:
    erasures.write([{"kind": "new"}])
    first = erasures.identity()
    assert first is not None
    assert erasures.forget(1) == 0
    (erasures.folder / "2026-01-01.jsonl").write_text('{"kind": "old", "at": 1}\n')
    assert kinds(erasures) == ["old", "new"]
    assert erasures.forget(30) == 1
    assert kinds(erasures) == ["new"]
    after = erasures.identity()
    assert after is not None
    assert (after.id, after.since >= first.since) == (first.id, True)


def test_what_is_no_journal_is_refused(erasures: Journal) -> None:
    assert erasures.identity() is None
    erasures.folder.mkdir()
    (erasures.folder / journal.IDENTITY).write_text("nonsense")
    with pytest.raises(JournalError):
        erasures.identity()
