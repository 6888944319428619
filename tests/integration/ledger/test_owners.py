"""Keys of requests and demands lie among those of cases: what a key is of, and when it goes."""

from typing import Any

import pytest
from sqlalchemy import insert, select

from sinks.ledger import keys, tables
from sinks.ledger.keys import Kind, Owner
from sinks.ledger.ledger import Ledger

CASE = {
    "service": "gala", "site": "shop.example", "state": "open", "received_at": 1, "changed_at": 1,
    "key_version": 1, "sealed": {}, "settings": {},
}  # fmt: skip
REQUEST = {
    "right": "access", "site": "shop.example", "language": "nl", "has_visitor": 0,
    "state": "planned", "received_at": 1, "deadline": 9,
}  # fmt: skip
DEMAND = {
    "request_id": "r-1", "kind": "export", "case_id": "c-1", "service": "gala",
    "holders": ["crm"], "requested_at": 1, "deadline": 9,
}  # fmt: skip


@pytest.fixture(autouse=True)
def kept(ledger: Ledger) -> None:
    """One of each, with a key each, and a key of nothing."""
    owners: list[tuple[Any, dict[str, Any]]] = [
        (tables.cases, CASE | {"case_id": "c-1"}),
        (tables.cases, CASE | {"case_id": "c-2", "held": "r-1"}),
        (tables.cases, CASE | {"case_id": "without"}),
        (tables.requests, REQUEST | {"request_id": "r-1"}),
        (tables.requests, REQUEST | {"request_id": "closed", "closed_at": 5}),
        (tables.demands, DEMAND | {"demand_id": "d-1"}),
        (tables.demands, DEMAND | {"demand_id": "shredded", "shredded_at": 5}),
    ]
    with_key = ("c-1", "c-2", "r-1", "closed", "d-1", "shredded", "nothing")
    with ledger.transaction() as connection:
        for table, row in owners:
            connection.execute(insert(table), row)
        connection.execute(
            insert(tables.case_keys),
            [
                {"case_id": each, "department": who, "wrapped": b"w", "made_at": 1}
                for each in with_key
                for who in ("rights", "sales")
            ],
        )


def test_it_is_known_what_a_key_is_of(ledger: Ledger) -> None:
    asked = ["c-1", "c-2", "without", "r-1", "d-1", "nothing", "unknown"]
    with ledger.reading() as connection:
        assert keys.owners_of(connection, []) == {}
        assert keys.owners_of(connection, asked) == {
            "c-1": Owner(Kind.CASE, service="gala"),
            "c-2": Owner(Kind.CASE, service="gala", held=True),
            "r-1": Owner(Kind.REQUEST),
            "d-1": Owner(Kind.DEMAND, service="gala", holders=["crm"]),
        }


def test_the_key_of_a_request_or_demand_is_no_orphan_until_it_is_done_with(ledger: Ledger) -> None:
    gone = {"closed", "shredded", "nothing"}
    everything = gone | {"c-1", "c-2", "r-1", "d-1"}
    with ledger.transaction() as connection:
        assert set(keys.orphans(connection, 0, 9, 99)) == gone
        keys.shred_orphans(connection, everything)
        left = set(connection.scalars(select(tables.case_keys.c.case_id)))
    assert left == everything - gone
