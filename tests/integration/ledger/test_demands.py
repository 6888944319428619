"""What holders outside are asked for, and what they answer, in either database (S18 to S21)."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import insert, select

from privacy.certificate import Outcome
from sinks.ledger import demands, keys, requests
from sinks.ledger.deletion import Late
from sinks.ledger.demands import Demand, HolderAnswer, Kind
from sinks.ledger.ledger import Ledger
from sinks.ledger.requests import Request, State
from sinks.ledger.tables import case_keys

DEMAND = Demand("d-1", "r-1", Kind.EXPORT, "c-1", "gala", ["crm", "mail"], 1_000, 5_000)
CONTENT = b"what the holder holds, sealed"


def add(ledger: Ledger, *names: str) -> Sequence[Demand]:
    new = [
        replace(DEMAND, demand_id=name, requested_at=1_000 - at) for at, name in enumerate(names)
    ]
    with ledger.transaction() as connection:
        demands.add(connection, new)
    return new


def receive(ledger: Ledger, holder: str, outcome: Outcome, at: int, content: bytes | None) -> None:
    with ledger.transaction() as connection:
        demands.receive(connection, [("d-1", holder, outcome, at, content)])


def complete(ledger: Ledger, at: int = 3_000) -> Sequence[str]:
    with ledger.transaction() as connection:
        return demands.complete(connection, ["d-1", "d-9"], at)


def test_demands_are_kept_once_the_oldest_first(ledger: Ledger) -> None:
    first, second = add(ledger, "d-1", "d-2")
    with ledger.transaction() as connection:
        demands.add(connection, [replace(first, kind=Kind.HOLD)])
        demands.add(connection, [])
        known = {"d-1": first, "d-2": second}
        assert demands.asked(connection, ["d-1", "d-2", "d-9"]) == known
        assert demands.of_request(connection, "r-1") == [known["d-2"], first]


def test_one_is_complete_when_every_holder_has_done_its_part(ledger: Ledger) -> None:
    add(ledger, "d-1")
    assert complete(ledger) == []
    receive(ledger, "crm", Outcome.DONE, 2_000, CONTENT)
    receive(ledger, "mail", Outcome.FAILED, 2_000, None)
    receive(ledger, "stranger", Outcome.DONE, 2_000, None)
    assert complete(ledger) == []
    with ledger.reading() as connection:
        assert demands.late(connection, 5_000) == []
        assert demands.late(connection, 5_001) == [Late("mail", 1, 5_000)]
    receive(ledger, "mail", Outcome.NOTHING_HELD, 2_500, None)
    assert complete(ledger) == ["d-1"]
    assert complete(ledger, 9_000) == []
    with ledger.reading() as connection:
        assert demands.late(connection, 9_000) == []
        (kept,) = demands.of_request(connection, "r-1")
    assert kept.completed_at == 3_000


def test_what_a_holder_has_done_stays_done(ledger: Ledger) -> None:
    add(ledger, "d-1")
    receive(ledger, "crm", Outcome.FAILED, 1_500, None)
    receive(ledger, "crm", Outcome.DONE, 2_000, CONTENT)
    for outcome in Outcome:
        receive(ledger, "crm", outcome, 3_000, b"something else")
    with ledger.reading() as connection:
        said = demands.answers_of(connection, ["d-1"])["d-1"]
    assert said == [HolderAnswer("d-1", "crm", Outcome.DONE, 2_000, CONTENT)]
    assert CONTENT.decode() not in repr(said)


def test_a_person_s_hundreds_of_demands_go_through_at_once(ledger: Ledger) -> None:
    names = [f"d-{number}" for number in range(1_000)]
    add(ledger, *names)
    with ledger.transaction() as connection:
        both = [(name, holder) for name in names for holder in ("crm", "mail")]
        demands.receive(connection, [(*each, Outcome.DONE, 2_000, None) for each in both])
        assert sorted(demands.complete(connection, names, 3_000)) == sorted(names)


def test_when_all_is_said_keys_and_contents_go_and_nothing_else(ledger: Ledger) -> None:
    add(ledger, "d-1", "d-2")
    for holder in DEMAND.holders:
        receive(ledger, holder, Outcome.DONE, 2_000, CONTENT)
    complete(ledger, 3_000)
    asked = Request(
        request_id="r-1", right="access", ground=None, site="shop.example", language="nl",
        subject="s-1", has_visitor=False, state=State.PLANNED, received_at=1, deadline=9_000,
        sealed=None,
    )  # fmt: skip
    rows = [
        {"case_id": each, "department": "rights", "wrapped": b"w", "made_at": 1}
        for each in ("d-1", "d-2")
    ]
    with ledger.transaction() as connection:
        connection.execute(insert(case_keys), rows)
        requests.add(connection, asked)
        assert demands.to_shred(connection, 4_000, 0) == [], "the answer is still to be made of it"
        requests.answered(connection, ["r-1"], 3_500)
        assert demands.to_shred(connection, 3_000, 0) == []
        assert demands.to_shred(connection, 4_000, 0) == ["d-1"]
        demands.shred(connection, ["d-1"], 4_000)
        assert demands.to_shred(connection, 9_000, 0) == []
        assert set(connection.scalars(select(case_keys.c.case_id))) == {"d-2"}
        assert set(keys.owners_of(connection, ["d-1", "d-2"])) == {"d-2"}
        said = demands.answers_of(connection, ["d-1"])["d-1"]
        assert [(each.outcome, each.content) for each in said] == [(Outcome.DONE, None)] * 2
        kept = demands.asked(connection, ["d-1", "d-2"])
    assert (kept["d-1"].shredded_at, kept["d-2"].shredded_at) == (4_000, None)


def test_what_no_holder_can_read_any_more_is_shredded(ledger: Ledger) -> None:
    (asked,) = add(ledger, "d-1")
    with ledger.reading() as connection:
        assert demands.to_shred(connection, 9_000, asked.requested_at) == []
        assert demands.to_shred(connection, 9_000, asked.requested_at + 1) == ["d-1"]
