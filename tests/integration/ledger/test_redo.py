"""What a journal tells is done again to a restored ledger, and only that (S3, S5, S19 to S21)."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, insert, select, update

from sinks.ledger import (
    answers,
    cases,
    deletion,
    holds,
    keys,
    outbox,
    profiles,
    redo,
    requests,
    suppressed,
    tables,
    unsubscribed,
)  # fmt: skip
from sinks.ledger.answers import Answer
from sinks.ledger.cases import Deletion
from sinks.ledger.holds import Hold, Kind, Whose
from sinks.ledger.inbox import Position
from sinks.ledger.journal import Journal
from sinks.ledger.ledger import Ledger
from sinks.ledger.outbox import Message
from sinks.ledger.profiles import Seen, Signs
from sinks.ledger.requests import Request, State

CASE = {
    "service": "samples", "group_id": None, "site": "shop", "subject": "anne", "state": "open",
    "language": None, "received_at": 1, "changed_at": 1, "due_at": None, "key_version": 1,
    "sealed": {}, "settings": {}, "further": None, "held": None,
}  # fmt: skip
OVER = Deletion("d-1", "over", "samples", ["sales"], ["crm"], "delivered", "e-1", 1, 2)


def ask(name: str, right: str) -> Request:
    return Request(
        request_id=name, right=right, ground=None, site="shop", language="en", subject="anne",
        has_visitor=False, state=State.PLANNED, received_at=1, deadline=9, sealed=b"sealed",
    )  # fmt: skip


@pytest.fixture
def erasures(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "erasures")


def begin(ledger: Ledger) -> None:
    """Fill a ledger: what a backup has."""
    with ledger.transaction() as connection:
        for name in ("over", "stays"):
            connection.execute(insert(tables.cases), {"case_id": name, **CASE})
        for name in ("over", "stays", "access-1", "rectify-1"):
            keys.add(connection, name, {"sales": b"wrapped"}, 1)
        for name, right in (("access-1", "access"), ("rectify-1", "rectification")):
            requests.add(connection, ask(name, right))
            step = {"request_id": name, "number": 0, "act": "answer", "target": ""}
            connection.execute(insert(tables.request_commands), step)
        answers.put(
            connection, Answer("a-1", "access-1", "c.json", "application/json", b"s", 1, 99)
        )
        profiles.add(connection, Signs([], {Seen("p-1", "tea", 1): 1, Seen("p-2", "tea", 1): 1}))
        lies = Position("form-submissions", 0, 1)
        about = [Message("cases-sales", b"over", b"x"), Message("notices", b"over", b"y")]
        outbox.put(connection, "cases", lies, about)


def go_on(ledger: Ledger) -> None:
    """Erase: what a backup does not know."""
    with ledger.transaction() as connection:
        cases.end(connection, [OVER])
        deletion.shred(connection, ["over"], 5)
        deletion.complete(connection, {"d-1": {"certificate": {"n": 1}}}, 6)
        suppressed.put(connection, "bert", 5, "r-9")
        unsubscribed.add(connection, "news", "anne", 5)
        for name in ("h-1", "h-2"):
            hold = Hold(name, Kind.RESTRICTION, "anne", None, None, None, "x", 5)
            holds.place(connection, hold)
        holds.lift(connection, "h-2", Whose.SUBJECT)
        answers.take(connection, "a-1", 7)
        answers.put(
            connection, Answer("a-2", "access-1", "d.json", "application/json", b"s", 1, 99)
        )
        answers.take(connection, "a-2", 7)
        requests.close(connection, ["access-1", "rectify-1"], 8)
        profiles.erase(connection, ["p-1"])


def test_what_was_erased_is_erased_again_and_nothing_else(
    url: URL, erasures: Journal, tmp_path: Path
) -> None:
    first = Ledger.open(f"sqlite:///{tmp_path / 'lost.db'}", erasures)
    begin(first)
    go_on(first)
    first.close()
    told = redo.gather(erasures.notes(0))
    assert told.count() == {
        "ended": 1, "certified": 1, "shredded": 3, "erased": 1, "unsubscribed": 1, "held": 1,
        "closed": 2, "taken": 2, "profiles": 1,
    }  # fmt: skip
    ledger = Ledger.open(url, Journal(tmp_path / "another"))
    begin(ledger)
    for _ in range(2):  # to do it again changes nothing
        with ledger.transaction() as connection:
            redo.redo(connection, told, ["cases-sales", "mailing-changes"])
    with ledger.reading() as connection:
        shown = deletion.show(connection, "over")
        assert shown is not None
        assert shown.certificate == {"certificate": {"n": 1}}
        assert (shown.shredded_at, shown.announced_at) == (None, None), "the worker does it again"
        assert deletion.to_shred(connection, 9) == ["over"]
        assert keys.wrapped_for(connection, "sales", ["over", "access-1"]) == {}
        assert keys.wrapped_for(connection, "sales", ["stays", "rectify-1"]).keys() == {
            "stays", "rectify-1",
        }  # fmt: skip
        assert suppressed.of(connection, ["bert", "anne"]).keys() == {"bert"}
        assert unsubscribed.among(connection, "news", ["anne", "bert"]) == {"anne"}
        assert [each.hold_id for each in holds.all(connection)] == ["h-1"]
        assert all(answers.state(connection, each).sealed is None for each in ("a-1", "a-2"))  # type: ignore[union-attr]
        assert _states(connection) == {"access-1": "closed", "rectify-1": "planned"}
        assert profiles.of(connection, "p-1") is None
        assert profiles.of(connection, "p-2") is not None
        assert outbox.unsent(connection, [b"over"]) == {b"over"}, "what people are told stays"
        waiting = outbox.pending(connection, "cases", "form-submissions", 0, 9)
        assert [each.message.target for each in waiting] == ["notices"]
        assert connection.scalar(select(tables.cases.c.held).filter_by(case_id="stays")) == "h-1"
    with ledger.transaction() as connection:
        assert answers.take(connection, "a-2", 9) is None
        made_anew = Answer("a-2", "access-1", "d.json", "application/json", b"s", 1, 99)
        assert not answers.put(connection, made_anew), "what was fetched is not made again"
        connection.execute(update(tables.cases).values(held=None))
    noted = redo.gather(Journal(tmp_path / "another").notes(0))
    assert noted.ended.keys() == told.ended.keys(), "another journal knows it now"
    assert noted.taken.keys() == told.taken.keys()
    ledger.close()


def test_a_note_of_another_release_is_not_passed_over() -> None:
    with pytest.raises(KeyError):
        redo.gather([{"kind": "of tomorrow", "at": 1}])


def _states(connection: Any) -> dict[str, str]:
    rows = connection.execute(select(tables.requests.c.request_id, tables.requests.c.state))
    return {row.request_id: row.state for row in rows}
