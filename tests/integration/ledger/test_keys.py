"""Keys of cases in the ledger: made once, for who may read, and gone for good."""

import os
import stat
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, func, insert, select

from privacy.policy import RIGHTS
from sinks.keys.keks import Keks, KeyStoreError, unwrap, wrap
from sinks.keys.seal import new_key
from sinks.keys.vault import ErasedError, Vault
from sinks.ledger import keys
from sinks.ledger.keys import Use
from sinks.ledger.ledger import Ledger
from sinks.ledger.tables import case_keys, deletions

DEPARTMENTS = ("marketing", "people")


@pytest.fixture
def keks(tmp_path: Path) -> Keks:
    made = Keks(tmp_path / "keks")
    made.make_missing([RIGHTS, *DEPARTMENTS, "events"])
    return made


@pytest.fixture
def vault(keks: Keks) -> Vault:
    return Vault(keks)


def make(ledger: Ledger, vault: Vault, case_id: str = "c-1") -> bytes:
    with ledger.transaction() as connection:
        return vault.make(connection, case_id, DEPARTMENTS, 1_000)


def opened(ledger: Ledger, vault: Vault, department: str, *case_ids: str) -> dict[str, bytes]:
    with ledger.reading() as connection:
        return vault.open(connection, case_ids or ("c-1",), department)


def delete(ledger: Ledger, case_id: str = "c-1", *, shred: bool = True) -> None:
    with ledger.transaction() as connection:
        row: dict[str, Any] = {
            "deletion_id": f"d-{case_id}",
            "case_id": case_id,
            "service": "sample",
            "departments": DEPARTMENTS,
            "holders": [],
            "cause": "delivered",
            "cause_id": "e-1",
            "requested_at": 2_000,
            "deadline": 3_000,
        }
        connection.execute(insert(deletions), row)
        if shred:
            keys.shred(connection, [case_id])


def count(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return connection.scalar(select(func.count()).select_from(case_keys)) or 0


def test_departments_of_the_case_have_its_key_and_no_other(ledger: Ledger, vault: Vault) -> None:
    key = make(ledger, vault)
    for department in (*DEPARTMENTS, RIGHTS):
        assert opened(ledger, vault, department) == {"c-1": key}
    assert opened(ledger, vault, "events") == {}
    assert opened(ledger, vault, "marketing", "c-2") == {}


def test_each_case_has_a_key_of_its_own_which_a_retry_gets_again(
    ledger: Ledger, vault: Vault
) -> None:
    assert make(ledger, vault) == make(ledger, vault) != make(ledger, vault, "c-2")
    assert count(ledger) == 6


def test_a_retry_after_the_departments_changed_gets_the_same_key(
    ledger: Ledger, vault: Vault
) -> None:
    key = make(ledger, vault)
    with ledger.transaction() as connection:
        assert vault.make(connection, "c-1", ["events"], 2_000) == key
    assert opened(ledger, vault, "events") == {}


def test_those_who_make_a_key_at_once_get_the_same_one(ledger: Ledger, vault: Vault) -> None:
    together = threading.Barrier(8)

    def one(_: int) -> bytes:
        together.wait()
        return make(ledger, vault)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(one, range(8)))) == 1


@pytest.mark.parametrize("shred", [True, False], ids=["shredded", "ended"])
def test_a_deleted_case_never_gets_a_key_again(ledger: Ledger, vault: Vault, shred: bool) -> None:
    make(ledger, vault)
    delete(ledger, shred=shred)
    kept = count(ledger)
    with pytest.raises(ErasedError):
        make(ledger, vault)
    assert count(ledger) == kept == (0 if shred else 3)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_retry_while_the_key_is_shredded_does_not_make_it_again(
    ledger: Ledger, vault: Vault
) -> None:
    """In SQLite one waits for the other's end."""
    make(ledger, vault)
    delete(ledger, shred=False)
    with ThreadPoolExecutor(1) as pool:
        with ledger.transaction() as shredding:
            keys.shred(shredding, ["c-1"])
            retry = pool.submit(make, ledger, vault)
            with pytest.raises(TimeoutError):
                retry.result(0.3)
        with pytest.raises(ErasedError):
            retry.result(10)
    assert count(ledger) == 0


def files_of(url: URL) -> bytes:
    assert url.database
    return b"".join(file.read_bytes() for file in Path(url.database).parent.iterdir())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_after_the_checkpoint_no_file_has_a_shredded_key(
    ledger: Ledger, vault: Vault, url: URL
) -> None:
    ids = [f"c-{number}" for number in range(200)]
    for case_id in ids:
        make(ledger, vault, case_id)
    with ledger.reading() as connection:
        wrapped = list(connection.scalars(select(case_keys.c.wrapped)))
    kept = [each for each in wrapped if each in files_of(url)]
    assert len(kept) == len(wrapped) == 600
    with ledger.transaction() as connection:
        keys.shred(connection, ids[:-1])
    assert ledger.checkpoint()
    assert sum(each in files_of(url) for each in wrapped) == 3


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_without_the_checkpoint_they_would_be_found(ledger: Ledger, vault: Vault, url: URL) -> None:
    make(ledger, vault)
    with ledger.reading() as connection:
        (wrapped, *_) = connection.scalars(select(case_keys.c.wrapped))
    delete(ledger)
    assert wrapped in files_of(url)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_checkpoint_that_a_reader_held_up_says_so(ledger: Ledger, vault: Vault) -> None:
    make(ledger, vault)
    with ledger.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(case_keys)) == 3
        delete(ledger)
        assert not ledger.checkpoint()
    assert ledger.checkpoint()


def test_a_checkpoint_waits_for_no_transaction_of_its_own(ledger: Ledger) -> None:
    assert ledger.checkpoint()


def test_rotation_leaves_keys_and_changes_what_wraps_them(
    ledger: Ledger, vault: Vault, keks: Keks, tmp_path: Path
) -> None:
    made = {f"c-{number}": make(ledger, vault, f"c-{number}") for number in range(3)}
    (before,) = keks.of("marketing")
    assert vault.rotate(ledger, "marketing") == 3
    (after,) = keks.of("marketing")
    assert after != before
    assert opened(ledger, vault, "marketing", *made) == made
    assert opened(ledger, vault, "people", *made) == made
    with ledger.reading() as connection:
        wrapped = keys.wrapped_for(connection, "marketing", list(made))
    for each in wrapped.values():
        with pytest.raises(KeyStoreError):
            unwrap([before], each)
    assert stat.S_IMODE((tmp_path / "keks" / "marketing").stat().st_mode) == 0o600


def test_more_cases_than_one_batch_are_rotated(
    ledger: Ledger, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.keys.vault.AT_ONCE", 2)
    made = {f"c-{number}": make(ledger, vault, f"c-{number}") for number in range(5)}
    assert vault.rotate(ledger, "marketing") == 5
    assert opened(ledger, vault, "marketing", *made) == made


def test_a_rotation_that_broke_off_is_done_again(
    ledger: Ledger, vault: Vault, keks: Keks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.keys.vault.AT_ONCE", 2)
    made = {f"c-{number}": make(ledger, vault, f"c-{number}") for number in range(5)}
    rewrap = keys.rewrap
    calls = []

    def breaks(*given: Any) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise InterruptedError
        rewrap(*given)

    with monkeypatch.context() as broken:
        broken.setattr(keys, "rewrap", breaks)
        with pytest.raises(InterruptedError):
            vault.rotate(ledger, "marketing")
    assert len(keks.of("marketing")) == 2
    assert opened(ledger, vault, "marketing", *made) == made
    assert vault.rotate(ledger, "marketing") == 5
    assert len(keks.of("marketing")) == 1
    assert opened(ledger, vault, "marketing", *made) == made


def test_keys_that_are_made_and_opened_during_a_rotation_are_not_lost(
    ledger: Ledger, vault: Vault
) -> None:
    made: dict[str, bytes] = {}
    done = threading.Event()

    def go_on() -> None:
        number = 0
        while not done.is_set():
            case_id = f"c-{number % 50}"
            made[case_id] = make(ledger, vault, case_id)
            assert opened(ledger, vault, "marketing", case_id) == {case_id: made[case_id]}
            number += 1

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(go_on)
        for _ in range(10):
            vault.rotate(ledger, "marketing")
        done.set()
        running.result(20)
    vault.rotate(ledger, "marketing")
    assert opened(ledger, vault, "marketing", *made) == made


class Watched(Keks):
    """Keys with something happening whenever those of a department have been read."""

    def __init__(self, folder: Path, then: Callable[[str], object]) -> None:
        super().__init__(folder)
        self._then = then

    def of(self, department: str) -> Sequence[bytes]:
        found = super().of(department)
        self._then(department)
        return found


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_rotation_waits_for_who_may_hold_the_old_key(
    ledger: Ledger, vault: Vault, tmp_path: Path
) -> None:
    """In SQLite one writes at a time."""
    read, go_on = threading.Event(), threading.Event()

    def pause(department: str) -> None:
        if department == "marketing":
            read.set()
            assert go_on.wait(10)

    with ThreadPoolExecutor(2) as pool:
        making = pool.submit(make, ledger, Vault(Watched(tmp_path / "keks", pause)))
        assert read.wait(10)
        rotation = pool.submit(vault.rotate, ledger, "marketing")
        with pytest.raises(TimeoutError):
            rotation.result(0.3)
        go_on.set()
        assert rotation.result(10) == 1
    assert opened(ledger, vault, "marketing") == {"c-1": making.result()}


def test_a_key_that_is_rotated_while_it_is_opened_is_opened(
    ledger: Ledger, vault: Vault, tmp_path: Path
) -> None:
    key = make(ledger, vault)
    left = [1]

    def rotate(department: str) -> None:
        if left and left.pop():
            vault.rotate(ledger, department)

    watched = Vault(Watched(tmp_path / "keks", rotate))
    assert opened(ledger, watched, "marketing") == {"c-1": key}


def test_two_do_not_rotate_at_once(keks: Keks) -> None:
    with keks.rotating("marketing"), pytest.raises(KeyStoreError), keks.rotating("people"):
        pass
    assert len(keks.of("people")) == 1


def test_without_the_departments_key_there_is_nothing(
    ledger: Ledger, tmp_path: Path, vault: Vault
) -> None:
    make(ledger, vault)
    (tmp_path / "keks" / "people").write_bytes(os.urandom(32))
    with pytest.raises(KeyStoreError):
        opened(ledger, vault, "people")
    (tmp_path / "keks" / "people").unlink()
    with pytest.raises(KeyStoreError, match="people"):
        make(ledger, vault, "c-2")
    assert count(ledger) == 3


def test_key_files_are_made_once_and_for_their_owner_alone(keks: Keks, tmp_path: Path) -> None:
    before = keks.of("people")
    assert keks.make_missing(["people", "press"]) == ["press"]
    assert keks.of("people") == before
    assert stat.S_IMODE((tmp_path / "keks").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "keks").iterdir()} == {0o600}


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_broken_key_file_is_no_key(keks: Keks, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keks" / "people").write_bytes(content)
    with pytest.raises(KeyStoreError, match="people"):
        keks.of("people")


def test_wrapping_is_that_of_the_standard() -> None:
    """RFC 3394, 4.6."""
    kek = bytes(range(32))
    key = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    wrapped = "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
    assert wrap(kek, key).hex().upper() == wrapped
    assert unwrap([new_key(), kek], wrap(kek, key)) == key


def test_who_asked_for_a_key_is_kept(ledger: Ledger) -> None:
    uses = [
        Use("c-1", "marketing", 10, keys.GIVEN),
        Use("c-1", "people", 11, keys.REFUSED),
        Use("c-2", "people", 11, keys.GIVEN),
    ]
    for _ in range(2):
        with ledger.transaction() as connection:
            keys.record_uses(connection, uses)
    with ledger.reading() as connection:
        assert keys.uses_of(connection, "c-1") == uses[:2]
