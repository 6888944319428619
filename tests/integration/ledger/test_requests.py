"""Requests of persons, their plans and their ends, in either database (S17 to S24)."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, insert

from sinks.ledger import keys, requests
from sinks.ledger.ledger import Ledger, LedgerFaultError
from sinks.ledger.requests import Request, State, Step
from sinks.ledger.tables import case_keys, request_commands

REQUEST = Request(
    request_id="r-1",
    right="erasure",
    ground="consent_withdrawn",
    site="shop.example",
    language="nl",
    subject="s-1",
    has_visitor=True,
    state=State.UNCONFIRMED,
    received_at=1_000,
    deadline=9_000,
    sealed=b"sealed",
    due_at=5_000,
)
COMMANDS = [("end_case", "c-1"), ("end_case", "c-2"), ("answer", "")]

Ask = Callable[..., Request]


@pytest.fixture
def ask(ledger: Ledger) -> Ask:
    def add(request_id: str = "r-1", **given: Any) -> Request:
        made = replace(REQUEST, request_id=request_id, **given)
        with ledger.transaction() as connection:
            assert requests.add(connection, made)
        return made

    return add


def plan(ledger: Ledger, request_id: str = "r-1", at: int = 3_000) -> bool:
    with ledger.transaction() as connection:
        return requests.put_plan(
            connection, request_id, COMMANDS, "partly", [("gala", "claim")], at, "7"
        )


def ready(ledger: Ledger, at: int, limit: int = 9) -> list[str]:
    with ledger.reading() as connection:
        return requests.ready(connection, at, limit)


def got(ledger: Ledger, request_id: str = "r-1") -> Request | None:
    with ledger.reading() as connection:
        return requests.get(connection, request_id)


def test_a_request_is_kept_once_as_it_came(ledger: Ledger, ask: Ask) -> None:
    kept = ask()
    with ledger.transaction() as connection:
        assert not requests.add(connection, replace(kept, right="access", state=State.CONFIRMED))
        assert requests.lock(connection, ["r-1", "r-9"]) == {"r-1": kept}
    assert got(ledger) == kept
    assert got(ledger, "r-9") is None


def test_it_is_confirmed_once(ledger: Ledger, ask: Ask) -> None:
    kept = ask()
    with ledger.transaction() as connection:
        assert requests.confirm(connection, "r-1", 2_000, "link", 8_000)
        assert not requests.confirm(connection, "r-1", 2_500, "operator: desk", 9_500)
        assert not requests.confirm(connection, "r-9", 2_000, "link", 8_000)
    now = {"confirmed_at": 2_000, "confirmed_by": "link", "deadline": 8_000, "due_at": None}
    assert got(ledger) == replace(kept, state=State.CONFIRMED, **now)


def test_of_two_that_confirm_at_once_one_does(ledger: Ledger, ask: Ask) -> None:
    ask()
    together = threading.Barrier(4, timeout=20)

    def confirm(at: int) -> bool:
        together.wait()
        with ledger.transaction() as connection:
            return requests.confirm(connection, "r-1", at, "link", 8_000)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(confirm, range(4))) == [False, False, False, True]


def test_what_can_be_gone_on_with_comes_oldest_first(ledger: Ledger, ask: Ask) -> None:
    ask("late", state=State.CONFIRMED, received_at=30, due_at=None)
    ask("due", state=State.PLANNED, received_at=10, due_at=2_000)
    ask("early", state=State.CONFIRMED, received_at=20, due_at=1)
    for state in (State.UNCONFIRMED, State.ANSWERED, State.CLOSED):
        ask(state, state=state, received_at=1, due_at=1)
    assert ready(ledger, 1_999) == ["early", "late"]
    assert ready(ledger, 2_000) == ["due", "early", "late"]
    assert ready(ledger, 2_000, limit=1) == ["due"]
    with ledger.transaction() as connection:
        requests.later(connection, "late", 7_000)
        assert requests.unconfirmed(connection, 0, 9) == []
        assert requests.unconfirmed(connection, 1, 9) == ["unconfirmed"]
    assert ready(ledger, 2_000) == ["due", "early"]


def test_a_plan_is_kept_once_and_done_in_order(ledger: Ledger, ask: Ask) -> None:
    ask(state=State.CONFIRMED)
    ask("r-2", state=State.CONFIRMED)
    assert plan(ledger)
    assert not plan(ledger, at=4_000), "it is planned"
    planned = got(ledger)
    assert planned
    assert (planned.state, planned.verdict, planned.planned_at) == (State.PLANNED, "partly", 3_000)
    assert planned.refused == [("gala", "claim")]
    assert (planned.policy_version, planned.due_at) == ("7", None)
    with ledger.transaction() as connection:
        for number, (act, target) in enumerate(COMMANDS):
            step = Step(number, act, target, None, None)
            assert requests.next_steps(connection, ["r-1", "r-2"]) == {"r-1": step, "r-2": None}
            requests.done(connection, [("r-1", number, "gone")], 4_000 + number)
            requests.done(connection, [("r-1", number, "gone again")], 9_000)
        assert requests.next_steps(connection, ["r-1"]) == {"r-1": None}
        assert requests.steps(connection, "r-1") == [
            Step(number, act, target, 4_000 + number, "gone")
            for number, (act, target) in enumerate(COMMANDS)
        ]


def test_a_plan_is_kept_whole_or_not_at_all(ledger: Ledger, ask: Ask) -> None:
    kept = ask(state=State.CONFIRMED)
    with ledger.transaction() as connection:  # what the last command will run into
        row = {"request_id": "r-1", "number": 2, "act": "answer", "target": ""}
        connection.execute(insert(request_commands), row)
    with pytest.raises(LedgerFaultError):
        plan(ledger)
    assert got(ledger) == kept
    with ledger.reading() as connection:
        assert [each.number for each in requests.steps(connection, "r-1")] == [2]


def test_one_that_nobody_confirmed_can_be_refused(ledger: Ledger, ask: Ask) -> None:
    ask()
    assert plan(ledger)
    assert ready(ledger, 1) == ["r-1"]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_who_locks_a_request_is_waited_for(ledger: Ledger, ask: Ask) -> None:
    """In SQLite one writes at a time."""
    ask(state=State.CONFIRMED)
    with ThreadPoolExecutor(1) as pool:
        with ledger.transaction() as connection:
            assert requests.lock(connection, ["r-1"])
            other = pool.submit(plan, ledger)
            with pytest.raises(TimeoutError):
                other.result(0.2)
            assert requests.put_plan(connection, "r-1", COMMANDS[2:], "refused", [], 1, "7")
        assert not other.result(10)
    with ledger.reading() as connection:
        assert len(requests.steps(connection, "r-1")) == 1


def test_the_deadline_moves_once_and_who_is_late_is_told(ledger: Ledger, ask: Ask) -> None:
    ask()
    ask("r-2", deadline=7_000, state=State.PLANNED)
    with ledger.transaction() as connection:
        assert [each.request_id for each in requests.late(connection, 9_001)] == ["r-2", "r-1"]
        assert requests.extend(connection, "r-1", 12_000, "many records")
        assert not requests.extend(connection, "r-1", 99_000, "more")
        requests.answered(connection, ["r-2"], 6_000)
        assert not requests.extend(connection, "r-2", 99_000, "too late")
        assert requests.late(connection, 12_000) == []
        (late,) = requests.late(connection, 12_001)
    assert (late.request_id, late.extended_because) == ("r-1", "many records")


def test_the_answered_are_closed_and_what_stays_is_of_nobody(ledger: Ledger, ask: Ask) -> None:
    for name in ("r-1", "r-2"):
        ask(name, state=State.PLANNED)
    ask("r-3", state=State.CONFIRMED)
    key = {"case_id": "r-1", "department": "rights", "wrapped": b"w", "made_at": 1}
    with ledger.transaction() as connection:
        connection.execute(insert(case_keys), key)
        requests.answered(connection, ["r-1"], 6_000)
        requests.answered(connection, ["r-2", "r-3"], 7_000)
        requests.answered(connection, ["r-1"], 8_000)
        assert requests.to_shred(connection, 6_000) == []
        assert requests.to_shred(connection, 9_000) == ["r-1", "r-2"]
        requests.close(connection, ["r-1"], 9_000)
        assert requests.to_shred(connection, 9_999) == ["r-2"]
        assert keys.wrapped_for(connection, "rights", ["r-1"]) == {}
        requests.forget_subjects(connection, 1_000)
        assert len(requests.of_subject(connection, "s-1")) == 3
        requests.forget_subjects(connection, 1_001)
        assert [each.request_id for each in requests.of_subject(connection, "s-1")] == [
            "r-2",
            "r-3",
        ]
    closed = got(ledger)
    assert closed
    assert (closed.sealed, closed.subject, closed.state) == (None, None, State.CLOSED)
    assert (closed.answered_at, closed.closed_at) == (6_000, 9_000)


def test_a_person_s_requests_are_counted_and_all_listed(ledger: Ledger, ask: Ask) -> None:
    ask("r-1", received_at=10)
    ask("r-2", received_at=20, right="access")
    ask("r-3", received_at=30, subject="s-2", state=State.PLANNED)
    with ledger.reading() as connection:
        assert requests.count_recent(connection, "s-1", 10) == 2
        assert requests.count_recent(connection, "s-1", 11) == 1
        assert requests.count_recent(connection, "s-1", 10, "erasure") == 1
        listed = [each.request_id for each in requests.all(connection, 2)]
        assert listed == ["r-3", "r-2"]
        assert len(requests.all(connection, 9, State.UNCONFIRMED)) == 2
        assert requests.count(connection) == {State.UNCONFIRMED: 2, State.PLANNED: 1}


def test_a_thousand_are_worked_on_at_once(ledger: Ledger) -> None:
    names = [f"r-{number:04}" for number in range(1_000)]
    with ledger.transaction() as connection:
        for name in names:
            made = replace(REQUEST, request_id=name, state=State.CONFIRMED, due_at=None)
            requests.add(connection, made)
        assert len(requests.lock(connection, names)) == 1_000
        for name in names:
            requests.put_plan(connection, name, COMMANDS[2:], "granted", [], 1, "7")
        assert len(requests.next_steps(connection, names)) == 1_000
        requests.done(connection, [(name, 0, "answered") for name in names], 2)
        assert set(requests.next_steps(connection, names).values()) == {None}
        requests.answered(connection, names, 3)
        assert len(requests.to_shred(connection, 4)) == 1_000
        requests.close(connection, names, 5)
        assert requests.count(connection) == {State.CLOSED: 1_000}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_after_the_checkpoint_no_file_has_what_was_asked(
    ledger: Ledger, ask: Ask, url: URL
) -> None:
    content = b"invented content " * 400  # of several pages
    ask(state=State.PLANNED, sealed=content)
    ask("r-2", state=State.PLANNED, sealed=b"another invented one")
    assert url.database
    folder = Path(url.database).parent

    def files() -> bytes:
        return b"".join(file.read_bytes() for file in folder.iterdir())

    assert content[:500] in files()
    with ledger.transaction() as connection:
        requests.answered(connection, ["r-1"], 1)
        requests.close(connection, ["r-1"], 2)
    assert ledger.checkpoint()
    assert b"invented content" not in files()
    assert b"another invented one" in files()
