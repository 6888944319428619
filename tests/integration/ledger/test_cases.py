from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select

from privacy.lifecycle import CaseState, ServiceEvent
from sinks.ledger import cases, groups, jobs, tables
from sinks.ledger.cases import Case, Deletion
from sinks.ledger.groups import Group
from sinks.ledger.jobs import Job
from sinks.ledger.ledger import Ledger, LedgerFaultError

CASE = Case(
    case_id="c-1",
    service="gala",
    group_id="spring",
    site="shop.example",
    subject="s-1",
    state=CaseState.OPEN,
    language="nl",
    received_at=1_000,
    changed_at=1_000,
    due_at=None,
    key_version=1,
    sealed={"email": "AHNlYWxlZA=="},
    settings={"size": "small"},
    further={"notice_id": "poll", "notice_version": "1"},
)
DELETION = Deletion("d-1", "c-1", "gala", ["events"], ["crm"], "delivered", "e-1", 2_000, 3_000)
JOB = Job("e-1", "gala", "spring", ServiceEvent.EVENT_OVER, 3, 0, 1_000, None)

Make = Callable[..., Case]


@pytest.fixture
def begin(ledger: Ledger) -> Make:
    def make(case_id: str, **given: Any) -> Case:
        made = replace(CASE, case_id=case_id, **given)
        with ledger.transaction() as connection:
            cases.add(connection, [made])
        return made

    return make


def test_a_case_comes_back_as_it_was_kept_and_moved(ledger: Ledger, begin: Make) -> None:
    first, second = begin("c-1"), begin("c-2", group_id=None, subject=None, further=None)
    with ledger.transaction() as connection:
        assert cases.locked(connection, ["c-2", "c-1", "c-9"]) == {"c-1": first, "c-2": second}
        moved = replace(first, state=CaseState.KEPT, changed_at=2_000, due_at=3_000, further=None)
        cases.move(connection, [moved])
        assert cases.locked(connection, ["c-1", "c-2"]) == {"c-1": moved, "c-2": second}
        null = select(tables.cases.c.case_id).where(tables.cases.c.further.is_(None))
        assert len(connection.execute(null).all()) == 2


def test_cases_are_found_by_group_and_state_and_by_who_waited_longest(
    ledger: Ledger, begin: Make
) -> None:
    begin("c-1")
    begin("c-2", state=CaseState.WAITING, received_at=9)
    early = begin("c-3", state=CaseState.WAITING, received_at=8)
    begin("c-4", state=CaseState.WAITING, received_at=1, group_id="autumn")
    begin("c-5", state=CaseState.WAITING, received_at=1, service="other")
    with ledger.transaction() as connection:
        assert cases.count(connection, "gala", "spring", CaseState.WAITING) == 2
        assert cases.count(connection, "gala", "none", CaseState.WAITING) == 0
        assert cases.waiting(connection, "gala", "spring", 1) == [early]
        two = cases.waiting(connection, "gala", "spring", 9)
        assert [each.case_id for each in two] == ["c-3", "c-2"]
        assert cases.waiting(connection, "gala", "none", 1) == []
        found = cases.in_group(connection, "gala", "spring", CaseState.WAITING, 9)
        assert {each.case_id for each in found} == {"c-2", "c-3"}
        assert len(cases.in_group(connection, "gala", "spring", CaseState.WAITING, 1)) == 1
        assert cases.services(connection) == {"gala", "other"}


def test_a_case_is_due_from_its_time_on(ledger: Ledger, begin: Make) -> None:
    begin("c-1", due_at=2_000)
    begin("c-2")
    for at, expected in ((1_999, []), (2_000, ["c-1"])):
        with ledger.reading() as connection:
            assert cases.is_due(connection, at) is bool(expected)
        with ledger.transaction() as connection:
            assert [each.case_id for each in cases.due(connection, at, 9)] == expected


def test_a_case_is_coming_while_it_has_a_key_and_nothing_else(ledger: Ledger, begin: Make) -> None:
    begin("c-1")
    keys = [
        {"case_id": case_id, "department": department, "wrapped": b"w", "made_at": 1}
        for case_id in ("c-1", "c-2", "c-3")
        for department in ("events", "sales")
    ]
    with ledger.transaction() as connection:
        connection.execute(insert(tables.case_keys), keys)
        cases.end(connection, [replace(DELETION, case_id="c-3")])
        assert cases.with_keys(connection, ["c-1", "c-4"]) == {"c-1"}
        assert cases.coming(connection, ["c-1", "c-2", "c-3", "c-4"]) == {"c-2"}
        assert cases.coming(connection, []) == set()
        assert cases.deleted(connection, ["c-1", "c-3"]) == {"c-3"}


def test_a_case_is_deleted_once(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        cases.end(connection, [DELETION])
    with pytest.raises(LedgerFaultError), ledger.transaction() as connection:
        cases.end(connection, [replace(DELETION, deletion_id="d-2")])


def test_groups_are_made_when_first_asked_for_and_kept(ledger: Ledger) -> None:
    keys = {("gala", "spring"), ("gala", "autumn")}
    closed = Group(ServiceEvent.EVENT_OVER, 2, {"capacity": "2"})
    with ledger.transaction() as connection:
        assert groups.locked(connection, []) == {}
        assert groups.locked(connection, keys) == dict.fromkeys(keys, Group(None, None, {}))
        groups.put(connection, ("gala", "spring"), closed)
        groups.put(connection, ("gala", "winter"), closed)
    with ledger.transaction() as connection:
        found = groups.locked(connection, keys)
        assert found == {("gala", "spring"): closed, ("gala", "autumn"): Group(None, None, {})}


def test_a_job_is_the_oldest_that_is_not_finished(ledger: Ledger) -> None:
    later = replace(JOB, job_id="e-2", begun_at=2_000, group_id=None)
    with ledger.transaction() as connection:
        assert jobs.unfinished(connection) is None
        jobs.begin(connection, [later, JOB])
        assert jobs.unfinished(connection) == JOB
        jobs.advance(connection, "e-1", 2)
        assert jobs.unfinished(connection) == replace(JOB, done=2)
        jobs.finish(connection, "e-1", 5_000)
        assert jobs.unfinished(connection) == later
        assert jobs.known(connection, ["e-1", "e-3"]) == {"e-1"}
    with ledger.reading() as connection:
        assert jobs.is_open(connection)
        assert jobs.show(connection, "e-1") == replace(JOB, total=2, done=2, finished_at=5_000)
        assert jobs.show(connection, "e-3") is None
    with ledger.transaction() as connection:
        jobs.forget(connection, 5_000)
        assert jobs.known(connection, ["e-1", "e-2"]) == {"e-1", "e-2"}
        jobs.forget(connection, 5_001)
        assert jobs.known(connection, ["e-1", "e-2"]) == {"e-2"}
