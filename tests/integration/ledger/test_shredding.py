"""From a case that is over to its certificate, and what a kill on the way leaves (S3, S20)."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import URL, Connection, create_engine, event, insert, select

from privacy.certificate import Outcome, Receipt, canonical
from privacy.policy import Policy
from schemas.codec import decode
from sinks import sqlite
from sinks.ledger import cases, deletion, outbox, tables
from sinks.ledger.cases import Deletion
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer, verify
from streams.deletion.announce import Announcement
from streams.deletion.certify import Certifier
from streams.deletion.shred import Shredder

DAY_MS = 86_400_000
NOW = 1_795_000_000_000
SIGNER = Signer(Ed25519PrivateKey.generate())
FIELD = {"email": {"title": "E-mail", "kind": "email", "mandatory": True}}


def service(life_cycle: str, **more: Any) -> dict[str, Any]:
    return {
        "title": life_cycle,
        "life_cycle": life_cycle,
        "departments": ["sales", "events"],
        "legal_basis": "Art. 6(1)(b) GDPR",
        "purposes": ["to render the service"],
        "fields": FIELD,
        **more,
    }


POLICY = Policy.model_validate(
    {
        "version": "7",
        "controller": {"name": "Example Trading", "contact": "privacy@www.example"},
        "authority": {"name": "Authority", "address": "1 Example Square", "complaint": "You may."},
        "departments": {
            name: {"title": name, "contact": f"{name}@www.example"} for name in ("sales", "events")
        },
        "lists": {
            "news": {"title": "News", "kind": "newsletter", "legal_basis": "Art. 6(1)(f) GDPR"}
        },
        "services": {
            "samples": service("sample"),
            "news": service("subscription", list="news"),
        },
    }
)


class Disk:
    """A broker that keeps what it acknowledged in a file, whoever dies."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._waiting: list[tuple[str, bytes, bytes | None]] = []

    def send(self, topic: str, values: Sequence[bytes | None], keys: Sequence[bytes]) -> None:
        self._waiting += [(topic, key, value) for key, value in zip(keys, values, strict=True)]

    def stored(self) -> None:
        with self._file.open("ab") as file:
            for each in self._waiting:
                pickle.dump(each, file)
        self._waiting.clear()

    def of(self, topic: str) -> list[tuple[bytes, bytes | None]]:
        found = []
        if self._file.exists():
            with self._file.open("rb") as file:
                while file.peek(1):
                    where, key, value = pickle.load(file)
                    found += [(key, value)] if where == topic else []
        return found


class Mortal:
    """A ledger and a broker that kill this process at the ``moment``-th step they take."""

    def __init__(self, ledger: Ledger, disk: Disk, moment: int) -> None:
        self._ledger = ledger
        self._disk = disk
        self._left = moment

    def _live(self) -> None:
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self._ledger.transaction() as connection:
            yield connection
            self._live()
        self._live()

    def reading(self) -> Any:
        return self._ledger.reading()

    def checkpoint(self) -> bool:
        self._live()
        done = self._ledger.checkpoint()
        self._live()
        return done

    def send(self, topic: str, values: Sequence[bytes | None], keys: Sequence[bytes]) -> None:
        self._live()
        self._disk.send(topic, values, keys)

    def stored(self) -> None:
        self._live()
        self._disk.stored()
        self._live()


@contextmanager
def snapshot(url: URL) -> Iterator[None]:
    """Have somebody read, as a backup does."""
    engine = create_engine(url, isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        yield
    engine.dispose()


@contextmanager
def prepared(url: URL) -> Iterator[None]:
    """Have a transaction prepared for a commit in two phases, by somebody who forgot it."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'one'")
        yield
        connection.exec_driver_sql("ROLLBACK PREPARED 'one'")
    engine.dispose()


HOLDING: Mapping[str, Callable[[URL], AbstractContextManager[None]]] = {
    "snapshot": snapshot,
    "prepared": prepared,
}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "broker")


def begin(ledger: Ledger, *case_ids: str, service: str = "samples") -> None:
    """Keep cases with their keys."""
    row = {
        "service": service, "group_id": None, "site": "shop", "subject": None, "state": "ended",
        "language": None, "received_at": NOW, "changed_at": NOW, "due_at": None, "key_version": 1,
        "sealed": {}, "settings": {}, "further": None,
    }  # fmt: skip
    with ledger.transaction() as connection:
        connection.execute(insert(tables.cases), [{"case_id": each, **row} for each in case_ids])
        connection.execute(
            insert(tables.case_keys),
            [
                {"case_id": each, "department": name, "wrapped": each.encode() * 8, "made_at": NOW}
                for each in case_ids
                for name in ("rights", "sales", "events")
            ],
        )


def end(
    ledger: Ledger, *case_ids: str, holders: Sequence[str] = (), service: str = "samples"
) -> None:
    """Have cases deleted, as the cases lane does."""
    with ledger.transaction() as connection:
        cases.end(
            connection,
            [
                Deletion(
                    deletion_id=f"d-{each}", case_id=each, service=service,
                    departments=["sales", "events"], holders=list(holders), cause="delivered",
                    cause_id="e-1", requested_at=NOW, deadline=NOW + DAY_MS,
                )
                for each in case_ids
            ],
        )  # fmt: skip


def certifier(ledger: Any) -> Certifier:
    return Certifier(
        ledger, SIGNER, controller="Example Trading", policy="7", clock=lambda: NOW + 9
    )


def shredder(ledger: Any, broker: Any) -> Shredder:
    announcement = Announcement(POLICY, lambda name: name)
    return Shredder(ledger, broker, announcement, certifier(ledger), lambda: NOW + 5)


def finish(ledger: Any, broker: Any) -> None:
    worker = shredder(ledger, broker)
    while worker.turn():
        pass


def answer(ledger: Ledger, deletion_id: str, holder: str, outcome: str, at: int = 1) -> None:
    """Keep a receipt, as the receipts lane does."""
    with ledger.transaction() as connection:
        deletion.asked(connection, [deletion_id])
        deletion.receive(connection, [(deletion_id, Receipt(holder, Outcome(outcome), at))])
        certifier(ledger).complete(connection, [deletion_id])


def progress(ledger: Ledger, case_id: str) -> deletion.Progress:
    with ledger.reading() as connection:
        found = deletion.show(connection, case_id)
    assert found is not None
    return found


def kept(ledger: Ledger) -> set[str]:
    """Return the cases that are whole: a row, and a key for everybody."""
    with ledger.reading() as connection:
        rows = set(connection.scalars(select(tables.cases.c.case_id)))
        keys = list(connection.scalars(select(tables.case_keys.c.case_id)))
    assert rows == {each for each in keys if keys.count(each) == 3} == set(keys)
    return rows


def certified(ledger: Ledger, case_id: str) -> dict[str, Any]:
    """Return the certificate of a case, whose signature holds."""
    signed = progress(ledger, case_id).certificate
    assert signed is not None
    content: dict[str, Any] = signed["certificate"]
    assert verify(SIGNER.public, canonical(content), signed["signature"])
    assert content["case_id"] == case_id
    return content


def test_a_case_that_is_over_is_gone_told_and_certified(ledger: Ledger, disk: Disk) -> None:
    begin(ledger, "over", "open")
    end(ledger, "over")
    finish(ledger, disk)
    assert kept(ledger) == {"open"}
    assert disk.of("cases-sales") == disk.of("cases-events") == [(b"over", None)]
    ((key, value),) = disk.of("deletions")
    told = decode("deletion", value)
    assert key == b"over"
    assert (told["deletion_id"], told["cause"], told["cause_id"]) == ("d-over", "delivered", "e-1")
    content = certified(ledger, "over")
    assert [each["step"] for each in content["steps"]] == ["shredded", "unreadable", "announced"]
    assert content["in_time"]
    assert (content["controller"], content["policy"]) == ("Example Trading", "7")
    assert {"cases-sales", "cases-events"} <= {each["what"] for each in content["checks"]}
    assert not disk.of("mailing-changes")


def test_who_is_deleted_from_a_list_is_not_mailed_again(ledger: Ledger, disk: Disk) -> None:
    """S5: the mail system hears of it, whatever ended the subscription."""
    begin(ledger, "reader", service="news")
    end(ledger, "reader", service="news")
    finish(ledger, disk)
    ((key, value),) = disk.of("mailing-changes")
    change = decode("mailing_change", value)
    assert key == b"reader"
    assert (change["list"], change["kind"], change["token"]) == ("news", "unsubscribed", None)


@pytest.mark.parametrize("moment", range(13))
def test_a_kill_at_any_moment_costs_nothing(url: URL, disk: Disk, moment: int) -> None:
    """Before and after each commit, checkpoint, send and acknowledgement: 13 moments."""
    ledger = Ledger.open(url)
    begin(ledger, "a", "b", "open")
    end(ledger, "a", "b")
    ledger.close()
    child = os.fork()
    if not child:
        mortal: Any = Mortal(Ledger.open(url), disk, moment)
        finish(mortal, mortal)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    ledger = Ledger.open(url)
    finish(ledger, disk)
    assert kept(ledger) == {"open"}
    for topic in ("cases-sales", "cases-events"):
        assert set(disk.of(topic)) == {(b"a", None), (b"b", None)}
    assert len(set(disk.of("deletions"))) == 2  # told twice, it is the same
    for each in ("a", "b"):
        certified(ledger, each)
    with ledger.reading() as connection:
        assert len(deletion.latest(connection, 9)) == 2
    ledger.close()


def test_a_deletion_has_thirteen_moments(ledger: Ledger, disk: Disk) -> None:
    begin(ledger, "a")
    end(ledger, "a")
    mortal: Any = Mortal(ledger, disk, 99)
    finish(mortal, mortal)
    assert 99 - mortal._left == 13


def test_a_broker_that_is_away_keeps_nobody_readable(ledger: Ledger, disk: Disk) -> None:
    begin(ledger, "a")
    end(ledger, "a")
    worker = shredder(ledger, disk)
    worker.shred()
    worker.scrub()
    assert kept(ledger) == set()
    found = progress(ledger, "a")
    assert found.unreadable_at is not None
    assert (found.announced_at, found.certificate) == (None, None)


def test_only_what_was_shredded_before_a_checkpoint_is_unreadable_after_it(
    ledger: Ledger, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(ledger, "early", "late")
    end(ledger, "early")
    worker = shredder(ledger, disk)
    worker.shred()
    checkpoint = ledger.checkpoint

    def another_shreds_meanwhile() -> bool:
        done = checkpoint()
        end(ledger, "late")
        shredder(ledger, disk).shred()
        return done

    monkeypatch.setattr(ledger, "checkpoint", another_shreds_meanwhile)
    worker.scrub()
    assert progress(ledger, "early").unreadable_at is not None
    assert progress(ledger, "late").shredded_at is not None
    assert progress(ledger, "late").unreadable_at is None


def test_nothing_is_unreadable_while_a_checkpoint_is_blocked(
    ledger: Ledger, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(ledger, "a")
    end(ledger, "a")
    worker = shredder(ledger, disk)
    monkeypatch.setattr(ledger, "checkpoint", lambda: False)
    worker.shred()
    assert not worker.scrub()
    assert progress(ledger, "a").unreadable_at is None


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("holding", HOLDING)
def test_nothing_is_unreadable_while_somebody_may_read_what_was_there_before(
    ledger: Ledger, disk: Disk, url: URL, holding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "READERS_SECONDS", 0.05)
    begin(ledger, "a")
    worker = shredder(ledger, disk)
    with HOLDING[holding](url):
        end(ledger, "a")
        worker.shred()
        assert not ledger.checkpoint()
        assert not worker.scrub()
        assert progress(ledger, "a").unreadable_at is None
    assert ledger.checkpoint()
    assert worker.scrub()
    assert progress(ledger, "a").unreadable_at is not None


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_who_began_after_a_deletion_or_elsewhere_does_not_hold_it_up(
    ledger: Ledger, url: URL
) -> None:
    begin(ledger, "a")
    with snapshot(url.set(database="postgres")):
        end(ledger, "a")
        with ledger.transaction() as connection:
            deletion.shred(connection, ["a"], NOW)
        with snapshot(url):
            assert ledger.checkpoint()


def test_a_tombstone_is_the_last_that_is_said_of_a_case(ledger: Ledger, disk: Disk) -> None:
    begin(ledger, "a", "b")
    with ledger.transaction() as connection:
        outbox.append(connection, "cases", [outbox.Message("cases-sales", b"a", b"sealed")])
    end(ledger, "a", "b")
    finish(ledger, disk)
    assert disk.of("cases-sales") == [(b"b", None)]
    assert progress(ledger, "a").unreadable_at is not None  # this does not wait for anything
    with ledger.transaction() as connection:
        outbox.sent(connection, outbox.pending(connection, "cases", "cases", 0, 9))
    finish(ledger, disk)
    assert disk.of("cases-sales") == [(b"b", None), (b"a", None)]


def test_it_is_complete_when_the_last_holder_has_answered(ledger: Ledger, disk: Disk) -> None:
    begin(ledger, "a")
    end(ledger, "a", holders=["crm", "mail"])
    finish(ledger, disk)
    ((_, value),) = disk.of("deletions")
    assert decode("deletion", value)["holders"] == ["crm", "mail"]
    for holder, outcome in (("crm", "done"), ("mail", "failed")):
        answer(ledger, "d-a", holder, outcome)
        assert progress(ledger, "a").completed_at is None
    answer(ledger, "d-a", "mail", "nothing_held", at=7)
    holders = [(each["holder"], each["outcome"]) for each in certified(ledger, "a")["holders"]]
    assert holders == [("crm", "done"), ("mail", "nothing_held")]


def test_a_holder_that_answers_before_we_know_that_it_was_told_is_not_forgotten(
    ledger: Ledger, disk: Disk
) -> None:
    begin(ledger, "a")
    end(ledger, "a", holders=["crm"])
    worker = shredder(ledger, disk)
    worker.shred()
    worker.scrub()
    answer(ledger, "d-a", "crm", "done")
    assert progress(ledger, "a").completed_at is None
    finish(ledger, disk)
    certified(ledger, "a")


def test_of_receipts_at_once_the_first_that_is_done_stands(ledger: Ledger) -> None:
    said = [
        ("d-1", Receipt("crm", outcome, at))
        for at, outcome in enumerate((Outcome.FAILED, Outcome.FAILED, Outcome.DONE, Outcome.FAILED))
    ]
    with ledger.transaction() as connection:
        deletion.receive(connection, [*said, ("d-2", said[0][1])])
        kept = deletion.receipts_of(connection, ["d-1", "d-2", "d-3"])
    assert kept == {"d-1": [said[2][1]], "d-2": [said[0][1]], "d-3": []}


@pytest.mark.parametrize("second", ["done", "nothing_held", "failed"])
def test_a_holder_that_answers_twice_changes_nothing(
    ledger: Ledger, disk: Disk, second: str
) -> None:
    begin(ledger, "a")
    end(ledger, "a", holders=["crm", "mail"])
    finish(ledger, disk)
    answer(ledger, "d-a", "crm", "done", at=1)
    answer(ledger, "d-a", "crm", second, at=2)
    answer(ledger, "d-a", "mail", "done", at=3)
    before = certified(ledger, "a")
    answer(ledger, "d-a", "mail", second, at=4)
    finish(ledger, disk)
    assert certified(ledger, "a") == before
    assert [each["outcome"] for each in before["holders"]] == ["done", "done"]
    assert before["holders"][0]["at"].endswith("00:00:00.001Z")


def test_a_receipt_and_the_announcement_at_once_complete_it(ledger: Ledger, disk: Disk) -> None:
    """Neither sees the other's change before its end: so one waits for the other."""
    begin(ledger, "a")
    end(ledger, "a", holders=["crm"])
    worker = shredder(ledger, disk)
    worker.shred()
    worker.scrub()
    said = threading.Thread(target=answer, args=(ledger, "d-a", "crm", "done"))
    with ledger.transaction() as connection:
        deletion.announced(connection, ["a"], NOW)
        certifier(ledger).complete(connection, ["d-a"])
        said.start()
        said.join(0.3)
    said.join()
    certified(ledger, "a")


def test_what_is_still_there_is_not_certified_but_deleted_again(ledger: Ledger, disk: Disk) -> None:
    begin(ledger, "a", "b")
    end(ledger, "a", "b", holders=["crm"])
    finish(ledger, disk)
    begin(ledger, "a")  # however that came about
    for each in ("d-a", "d-b"):
        answer(ledger, each, "crm", "done")
    assert progress(ledger, "b").certificate is not None
    assert progress(ledger, "a").certificate is None
    finish(ledger, disk)
    assert kept(ledger) == set()
    certified(ledger, "a")


def test_who_is_late_is_told_apart(ledger: Ledger, disk: Disk) -> None:
    for case_id, holders in (("a", ["crm", "mail"]), ("b", ["crm"]), ("c", [])):
        begin(ledger, case_id)
        end(ledger, case_id, holders=holders)
    finish(ledger, disk)
    answer(ledger, "d-a", "mail", "done")
    answer(ledger, "d-b", "crm", "failed")
    end(ledger, "stuck")

    def late(at: int) -> list[tuple[str | None, int, int]]:
        with ledger.reading() as connection:
            found = deletion.late(connection, at, 60_000)
        return [(each.holder, each.count, each.since) for each in found]

    assert late(NOW + 60_000) == []
    assert late(NOW + DAY_MS) == [(None, 1, NOW + 60_000)]
    assert late(NOW + DAY_MS + 1) == [(None, 1, NOW + 60_000), ("crm", 2, NOW + DAY_MS)]
    with ledger.reading() as connection:
        overdue = deletion.overdue(connection, NOW + DAY_MS + 1, 9)
    assert {each.deletion.case_id for each in overdue} == {"a", "b", "stuck"}


def test_no_step_looks_at_what_is_kept_or_was_done(ledger: Ledger, disk: Disk) -> None:
    """The cost of a deletion does not grow: every look is by an index of what waits."""
    if ledger._engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL reads small tables whole, whatever the indexes")
    plans: list[str] = []

    @event.listens_for(ledger._engine, "before_cursor_execute")
    def explain(
        connection: Connection, _: object, statement: str, parameters: Any, __: object, many: bool
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            raw: Any = connection.connection.driver_connection
            rows = raw.execute(
                f"EXPLAIN QUERY PLAN {statement}", parameters[0] if many else parameters
            )
            plans.extend(row[3] for row in rows)

    begin(ledger, "a")
    end(ledger, "a", holders=["crm"])
    finish(ledger, disk)
    answer(ledger, "d-a", "crm", "done")
    with ledger.reading() as connection:
        deletion.late(connection, NOW, 60_000)
        deletion.overdue(connection, NOW, 9)
        deletion.show(connection, "a")
    of_tables = ("deletions", "cases", "case_keys", "receipts")
    scans = [each for each in plans if each.startswith(tuple(f"SCAN {name}" for name in of_tables))]
    assert set(scans) <= {"SCAN deletions USING INDEX deletions_to_shred"}  # a partial one
    assert not [each for each in plans if "deletions_latest" in each]
    assert len(plans) > 20


def test_no_byte_of_a_key_is_left_in_the_files(tmp_path: Path, disk: Disk) -> None:
    file = tmp_path / "ledger" / "ledger.db"
    ledger = Ledger.open(f"sqlite:///{file}")
    begin(ledger, "case-over", "case-open")
    end(ledger, "case-over")

    def files() -> bytes:
        return b"".join(each.read_bytes() for each in file.parent.iterdir())

    assert b"case-over" * 8 in files()
    worker = shredder(ledger, disk)
    worker.shred()
    worker.scrub()
    assert b"case-over" * 8 not in files()
    assert b"case-open" * 8 in files()
    ledger.close()
