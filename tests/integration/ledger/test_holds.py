"""Restrictions and claims: what they keep cases from, and for how long (S21; Art. 17(3)(e))."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from privacy.lifecycle import CaseState
from sinks.ledger import cases, deletion, holds, people, suppressed
from sinks.ledger.cases import Case, Deletion
from sinks.ledger.holds import Hold, Kind, Whose
from sinks.ledger.ledger import Ledger

HOLD = Hold("r-1", Kind.RESTRICTION, "s-1", None, None, None, "needed_for_claim", 1_000)
VISITOR = replace(HOLD, subject=None, site="shop.example", visitor="v-1")
CLAIM = Hold("claim-1", Kind.CLAIM, None, None, None, "c-2", "an invented lawsuit", 1_000)
CASE = Case(
    case_id="c-1",
    service="gala",
    group_id="spring",
    site="shop.example",
    subject="s-1",
    state=CaseState.OPEN,
    language=None,
    received_at=1,
    changed_at=1,
    due_at=2_000,
    key_version=1,
    sealed={},
    settings={},
    further=None,
)

Begin = Callable[..., None]


@pytest.fixture
def begin(ledger: Ledger) -> Begin:
    def add(*names: str, **given: Any) -> None:
        with ledger.transaction() as connection:
            cases.add(connection, [replace(CASE, case_id=name, **given) for name in names])

    return add


def held(ledger: Ledger, *names: str) -> list[str | None]:
    with ledger.transaction() as connection:
        found = cases.locked(connection, names)
    return [found[name].held for name in names]


def test_a_hold_is_placed_once_and_found_by_whom_it_is_of(ledger: Ledger) -> None:
    second = replace(HOLD, hold_id="r-2", since=2_000)
    with ledger.transaction() as connection:
        assert holds.place(connection, second)
        assert holds.place(connection, HOLD)
        assert not holds.place(connection, replace(HOLD, subject="s-9"))
        assert holds.place(connection, CLAIM)
    with ledger.transaction() as connection:
        assert holds.of_subject(connection, ["s-1", "s-9"]) == {"s-1": [HOLD, second]}
        assert holds.claims(connection, ["c-1", "c-2"]) == {"c-2"}
        assert {each.hold_id for each in holds.all(connection)} == {"r-1", "r-2", "claim-1"}
        assert holds.lift(connection, "r-1", Whose.SUBJECT)
        assert not holds.lift(connection, "r-1", Whose.SUBJECT)
        assert holds.of_subject(connection, ["s-1"]) == {"s-1": [second]}
    assert "s-1" not in repr(HOLD)
    assert "v-1" not in repr(VISITOR)


def test_who_gave_an_address_and_a_cookie_has_two_holds(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        assert holds.place(connection, HOLD)
        assert holds.place(connection, VISITOR), "of the same request"
        assert not holds.place(connection, VISITOR)
        found = holds.of_visitors(connection, "shop.example", ["v-1", "v-9"])
        assert found == {"v-1": [VISITOR]}
        assert holds.of_visitors(connection, "other.example", ["v-1"]) == {}
        assert holds.lift(connection, "r-1", Whose.SUBJECT)
        assert holds.restrictions(connection, ["r-1"]) == {"r-1"}
        assert holds.all(connection) == [VISITOR]
        assert holds.lift(connection, "r-1", Whose.VISITOR)
        assert holds.restrictions(connection, ["r-1"]) == set()


def test_the_cases_of_a_person_are_held_and_released(ledger: Ledger, begin: Begin) -> None:
    begin("c-1", "c-2")
    begin("c-3", subject="s-2")
    begin("c-4", state=CaseState.ENDED)
    begin("c-5", held="r-0")
    with ledger.transaction() as connection:
        assert holds.hold_cases(connection, "s-1", "r-1") == ["c-1", "c-2"]
        assert holds.hold_cases(connection, "s-1", "r-1") == []
    assert held(ledger, "c-1", "c-2", "c-3", "c-4", "c-5") == ["r-1", "r-1", None, None, "r-0"]
    with ledger.transaction() as connection:
        assert holds.release_cases(connection, "r-1") == ["c-1", "c-2"]
        assert holds.release_cases(connection, "r-1") == []
    assert held(ledger, "c-1", "c-2", "c-5") == [None, None, "r-0"]


def test_a_second_restriction_goes_on_when_the_first_is_lifted(
    ledger: Ledger, begin: Begin
) -> None:
    begin("c-1")
    with ledger.transaction() as connection:
        for name in ("r-1", "r-2"):
            holds.place(connection, replace(HOLD, hold_id=name))
            holds.hold_cases(connection, "s-1", name)
        assert holds.lift(connection, "r-1", Whose.SUBJECT)
        assert holds.release_cases(connection, "r-1") == []
    assert held(ledger, "c-1") == ["r-2"]
    with ledger.transaction() as connection:
        holds.lift(connection, "r-2", Whose.SUBJECT)
        assert holds.release_cases(connection, "r-2") == ["c-1"]


def test_nobody_who_ends_cases_finds_one_that_is_held_or_claimed(
    ledger: Ledger, begin: Begin
) -> None:
    begin("c-1", held="r-1")
    begin("c-2")
    with ledger.transaction() as connection:
        holds.place(connection, CLAIM)
        which = ("gala", "spring", CaseState.OPEN)
        assert not cases.is_due(connection, 9_000)
        assert cases.due(connection, 9_000, 9) == []
        assert cases.in_group(connection, *which, 9) == []
        assert cases.count(connection, *which, may_end=True) == 0
        assert cases.count(connection, *which) == 2, "each keeps its seat"
        (claimed,) = cases.of_subject(connection, "s-1", ["gala"])
        assert claimed.case_id == "c-2"
        assert len(cases.of_subject(connection, "s-1", ["gala"], held=True)) == 2
        holds.lift(connection, "claim-1", Whose.CASE)
        assert [each.case_id for each in cases.due(connection, 9_000, 9)] == ["c-2"]
        assert [each.case_id for each in cases.in_group(connection, *which, 9)] == ["c-2"]
        assert cases.count(connection, *which, may_end=True) == 1


def test_who_is_held_gets_no_seat(ledger: Ledger, begin: Begin) -> None:
    begin("c-1", state=CaseState.WAITING, held="r-1")
    begin("c-2", state=CaseState.WAITING, received_at=5)
    with ledger.transaction() as connection:
        (first,) = cases.waiting(connection, "gala", "spring", 9)
    assert first.case_id == "c-2"


def test_a_move_keeps_the_hold_as_the_case_has_it(ledger: Ledger, begin: Begin) -> None:
    begin("c-1", held="r-1")
    with ledger.transaction() as connection:
        case = cases.locked(connection, ["c-1"])["c-1"]
        cases.move(connection, [replace(case, due_at=9_000)])
    assert held(ledger, "c-1") == ["r-1"]
    with ledger.transaction() as connection:
        cases.move(connection, [replace(case, held=None)])
    assert held(ledger, "c-1") == [None]


def test_s18_a_case_is_corrected_and_belongs_to_another_address(
    ledger: Ledger, begin: Begin
) -> None:
    begin("c-1", "c-2")
    changed = replace(CASE, subject="s-2", sealed={"name": "b3RoZXI="}, settings={"size": "L"})
    with ledger.transaction() as connection:
        cases.correct(connection, [replace(changed, state=CaseState.ENDED)])
        found = cases.locked(connection, ["c-1", "c-2"])
    assert found == {"c-1": changed, "c-2": replace(CASE, case_id="c-2")}


def test_events_wait_in_order_and_each_once(ledger: Ledger) -> None:
    events = [{"event_id": f"e-{number}", "event": "shipped"} for number in range(12)]
    for _ in range(2):
        with ledger.transaction() as connection:
            new = [holds.defer(connection, "c-1", each) for each in events]
            holds.defer(connection, "c-2", events[3])
    with ledger.transaction() as connection:
        assert not any(new)
        found = holds.deferred(connection, ["c-1", "c-2", "c-3"])
        assert found == {"c-1": events, "c-2": [events[3]]}
        holds.forget_deferred(connection, ["c-1"])
        assert holds.deferred(connection, ["c-1", "c-2"]) == {"c-2": [events[3]]}


def test_what_waits_goes_with_the_case(ledger: Ledger, begin: Begin) -> None:
    begin("c-1")
    ended = Deletion("d-1", "c-1", "gala", [], [], "erasure", "r-2", 2_000, 3_000)
    with ledger.transaction() as connection:
        holds.defer(connection, "c-1", {"event_id": "e-1"})
        cases.end(connection, [ended])
        deletion.shred(connection, ["c-1"], 2_500)
        assert holds.deferred(connection, ["c-1"]) == {}


def test_a_person_s_last_erasure_counts(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        for at in (500, 900, 700):
            suppressed.put(connection, "s-1", at, f"r-{at}")
        found = suppressed.of(connection, ["s-1", "s-2"])
    assert found == {"s-1": suppressed.Erasure(900, "r-900")}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("right", ["restriction", "erasure"])
def test_a_right_waits_for_cases_that_begin_and_then_sees_them(ledger: Ledger, right: str) -> None:
    """In SQLite one writes at a time."""

    def exercise() -> list[str]:
        with ledger.transaction() as connection:
            if right == "restriction":
                holds.place(connection, HOLD)
            else:
                suppressed.put(connection, "s-1", 5, "r-1")
            return holds.hold_cases(connection, "s-1", "r-1")

    with ThreadPoolExecutor(1) as pool:
        with ledger.transaction() as connection:
            people.share(connection)
            assert holds.of_subject(connection, ["s-1"]) == {}
            cases.add(connection, [CASE])
            exercised = pool.submit(exercise)
            with pytest.raises(TimeoutError):
                exercised.result(0.2)
        assert exercised.result(10) == ["c-1"]
