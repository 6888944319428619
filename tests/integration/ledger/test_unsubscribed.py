"""Opt-outs, and keys nobody used, in either database (S5)."""

from typing import Any

from sqlalchemy import insert, select

from privacy.lifecycle import CaseState
from sinks.ledger import cases, keys, unsubscribed
from sinks.ledger.cases import Case
from sinks.ledger.ledger import Ledger
from sinks.ledger.tables import case_keys


def case(case_id: str, **more: Any) -> Case:
    made: dict[str, Any] = {
        "case_id": case_id, "service": "news", "group_id": None, "site": "shop.example",
        "subject": "s-1", "state": CaseState.OPEN, "language": None, "received_at": 1,
        "changed_at": 1, "due_at": None, "key_version": 1, "sealed": {}, "settings": {},
        "further": None,
    }  # fmt: skip
    return Case(**made | more)


def test_an_opt_out_stays_until_a_later_subscription(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        for at in (5, 9, 7):
            unsubscribed.add(connection, "news", "s-1", at)
        unsubscribed.add(connection, "other", "s-1", 1)
    with ledger.transaction() as connection:
        assert unsubscribed.among(connection, "news", ["s-1", "s-2"]) == {"s-1"}
        assert unsubscribed.count(connection) == {"news": 1, "other": 1}
        assert not unsubscribed.lift(connection, "news", "s-1", 9)
        assert unsubscribed.among(connection, "news", ["s-1"]) == {"s-1"}
        assert unsubscribed.lift(connection, "news", "s-1", 10)
        assert unsubscribed.lift(connection, "news", "s-2", 1)
        assert unsubscribed.count(connection) == {"other": 1}


def test_people_are_counted_once_and_found_with_their_open_cases(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        cases.add(
            connection,
            [
                case("c-1"), case("c-2"), case("c-3", subject="s-2"),
                case("c-4", service="samples"), case("c-5", state=CaseState.ENDED, subject="s-3"),
            ],
        )  # fmt: skip
    with ledger.transaction() as connection:
        assert unsubscribed.count_subscribed(connection, ["news"]) == 2
        found = cases.of_subject(connection, "s-1", ["news"])
        assert [each.case_id for each in found] == ["c-1", "c-2"]
        assert not cases.of_subject(connection, "s-3", ["news"])


def test_a_key_is_an_orphan_when_it_is_old_and_its_case_never_came(ledger: Ledger) -> None:
    made = {"came": 1, "orphan": 1, "new": 5}
    rows = [
        {"case_id": case_id, "department": department, "wrapped": b"w", "made_at": at}
        for case_id, at in made.items()
        for department in ("rights", "sales")
    ]
    with ledger.transaction() as connection:
        connection.execute(insert(case_keys), rows)
        cases.add(connection, [case("came")])
    with ledger.transaction() as connection:
        assert keys.orphans(connection, 0, 5, 10) == ["orphan"]
        assert keys.orphans(connection, 2, 5, 10) == []
        keys.shred_orphans(connection, ["orphan", "came"])
    with ledger.reading() as connection:
        left = set(connection.scalars(select(case_keys.c.case_id)))
    assert left == {"came", "new"}
