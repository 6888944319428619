"""The example of a holder: it erases out of its files, and lets nobody come back."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lethe import Deletion, Outcome
from lethe.standins import crm
from lethe.standins.crm import Crm

FIELDS = {"name": "Lena Example", "email": "lena-of-the-canary@example.com"}


def deletion(case_id: str) -> Deletion:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return Deletion(f"d-{case_id}", case_id, "samples", "delivered", at, at)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "crm" / "crm.db"


def test_what_is_erased_is_in_no_file(file: Path) -> None:
    store = Crm(file)
    assert store.keep("a", FIELDS)
    assert store.keep("b", {"name": "Ben Example"})
    assert store.contacts() == {"a": FIELDS, "b": {"name": "Ben Example"}}
    assert store.erase(deletion("a")) is Outcome.DONE
    assert store.contacts() == {"b": {"name": "Ben Example"}}
    assert b"canary" not in b"".join(each.read_bytes() for each in file.parent.iterdir())


def test_the_answer_is_the_same_each_time(file: Path) -> None:
    store = Crm(file)
    store.keep("a", FIELDS)
    assert [Crm(file).erase(deletion("a")) for _ in range(2)] == [Outcome.DONE] * 2
    assert [store.erase(deletion("x")) for _ in range(2)] == [Outcome.NOTHING_HELD] * 2


def test_who_was_erased_does_not_come_back(file: Path) -> None:
    store = Crm(file)
    store.erase(deletion("a"))
    assert not store.keep("a", FIELDS)
    assert not store.contacts()


def test_nothing_is_done_while_the_files_still_have_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Crm(file)
    store.keep("a", FIELDS)
    with monkeypatch.context() as patched:
        patched.setattr(crm, "truncate", lambda _: False)
        assert store.erase(deletion("a")) is Outcome.FAILED
    assert store.erase(deletion("a")) is Outcome.DONE
