"""The example of a holder: it erases out of its files, and lets nobody come back."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lethe import Correction, Deletion, Export, Hold, HoldKind, Outcome
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


AT = datetime(2026, 11, 24, tzinfo=UTC)


def correction(case_id: str) -> Correction:
    return Correction("k-1", case_id, "samples", {"name": "Lena Corrected"}, "I moved.", AT)


def held(case_id: str, kind: HoldKind) -> Hold:
    return Hold("h-1", case_id, "samples", kind, AT)


def test_what_is_put_right_is_exported_and_the_old_value_is_in_no_file(file: Path) -> None:
    store = Crm(file)
    store.keep("a", {"name": "Lena-of-the-canary", "city": "Ghent"})
    expected = {"name": "Lena Corrected", "city": "Ghent", "statement": "I moved."}
    for _ in range(2):
        assert store.correct(correction("a")) is Outcome.DONE
        assert store.export(Export("e-1", "a", "samples", AT)) == expected
    assert b"canary" not in b"".join(each.read_bytes() for each in file.parent.iterdir())
    assert store.correct(correction("x")) is Outcome.NOTHING_HELD
    assert store.export(Export("e-1", "x", "samples", AT)) is None


def test_under_a_hold_a_case_is_neither_used_nor_erased(file: Path) -> None:
    store = Crm(file)
    store.keep("a", FIELDS)
    assert store.hold(held("a", HoldKind.RESTRICTION)) is Outcome.DONE
    assert not store.contacts()
    assert store.erase(deletion("a")) is Outcome.FAILED
    assert store.export(Export("e-1", "a", "samples", AT)) == FIELDS
    assert store.hold(held("a", HoldKind.LIFTING)) is Outcome.DONE
    assert store.contacts() == {"a": FIELDS}
    assert store.erase(deletion("a")) is Outcome.DONE


def test_a_hold_is_remembered_for_what_comes_later(file: Path) -> None:
    store = Crm(file)
    assert store.hold(held("a", HoldKind.RESTRICTION)) is Outcome.NOTHING_HELD
    store.keep("a", FIELDS)
    assert not store.contacts()
