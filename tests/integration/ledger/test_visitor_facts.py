"""What is to be done to visitors' facts, and what is known of a visitor elsewhere (S20, S21)."""

from collections.abc import Callable
from typing import Any

import pytest

from privacy.consent import ERASURE, RESTRICTION, Decision
from sinks.ledger import consents, holds, reached, visitor_facts, withdrawals
from sinks.ledger.holds import Hold, Kind, Whose
from sinks.ledger.ledger import Ledger
from sinks.ledger.reached import Reached
from sinks.ledger.visitor_facts import END, FactsAct, VisitorAct

SITE, WHO = "shop.example", "v-1"


def ask(ledger: Ledger, request_id: str, number: int = 1, **given: Any) -> VisitorAct:
    made = {"act": FactsAct.HOLD, "site": SITE, "visitor": WHO, "asked_at": 10, **given}
    act = VisitorAct(request_id, number, **made)
    with ledger.transaction() as connection:
        visitor_facts.ask(connection, act)
    return act


def test_an_act_is_to_be_done_once_and_forgotten_afterwards(ledger: Ledger) -> None:
    first, second = ask(ledger, "r-1"), ask(ledger, "r-2", asked_at=20)
    ask(ledger, "r-1", asked_at=30)
    with ledger.transaction() as connection:
        assert visitor_facts.to_do(connection, 19, 10) == [first]
        assert visitor_facts.to_do(connection, 20, 10) == [first, second]
        assert visitor_facts.to_do(connection, 20, 1) == [first]
        visitor_facts.done(connection, [first], 25)
        visitor_facts.done(connection, [], 25)
        assert visitor_facts.to_do(connection, 20, 10) == [second]
        (done,) = visitor_facts.all_done(connection)
        assert (done.request_id, done.done_at) == ("r-1", 25)
        assert visitor_facts.get(connection, "r-1", 1) == done
        # What is not done is not forgotten, however old it is.
        visitor_facts.forget(connection, 100)
        assert visitor_facts.get(connection, "r-1", 1) is None
        assert visitor_facts.get(connection, "r-2", 1) == second


def test_what_ends_a_hold_ends_what_was_to_be_done_for_it(ledger: Ledger) -> None:
    ask(ledger, "r-1")
    other = ask(ledger, "r-2")
    end = ask(ledger, "r-1", END, act=FactsAct.RELEASE, visitor=None, asked_at=20)
    with ledger.reading() as connection:
        assert visitor_facts.to_do(connection, 20, 10) == [other, end]


def test_nothing_shows_whom_it_is_about(ledger: Ledger) -> None:
    assert WHO not in repr(ask(ledger, "r-1"))


@pytest.mark.parametrize("right", [RESTRICTION, ERASURE])
def test_a_right_that_begins_is_settled_like_a_withdrawal(
    ledger: Ledger, change: Callable[..., Any], right: str
) -> None:
    changes = [change(0, Decision.GIVEN), change(1, Decision.GIVEN, right)]
    with ledger.transaction() as connection:
        consents.record(connection, changes, ads=["ads"])
        # Once: what repeats it begins nothing.
        consents.record(connection, [change(2, Decision.GIVEN, right)], ads=["ads"])
        (unsettled,) = withdrawals.unsettled(connection, changes[1].partition)
    assert (unsettled.offset, unsettled.purpose) == (1, right)


def test_proof_goes_and_what_is_in_force_stays(ledger: Ledger, change: Callable[..., Any]) -> None:
    given = change(0, Decision.GIVEN)
    with ledger.transaction() as connection:
        consents.record(connection, [given], ads=["ads"])
        consents.forget_proof(connection, given.site, given.visitor)
        assert not consents.history(connection, given.site, given.visitor)
        assert consents.standing(connection, given.site, given.visitor).standings


def test_what_reached_a_visitor_is_due_when_no_restriction_stands(ledger: Ledger) -> None:
    rows = [Reached(f"m-{who}", 0, SITE, who, None, {}, 1) for who in (WHO, "v-2")]
    restriction = Hold("h", Kind.RESTRICTION, None, SITE, WHO, None, "", 1)
    with ledger.transaction() as connection:
        reached.remember(connection, "meta", "ads", rows)
        ended = [withdrawals.Withdrawal(5, 1, SITE, who, "ads") for who in (WHO, "v-2")]
        reached.fall_due(connection, ended, 10)
        assert reached.of_visitor(connection, SITE, WHO) == [("meta", "ads")]
        assert reached.of_visitor(connection, "other", WHO) == []
        holds.place(connection, restriction)
        assert [each.visitor for each in reached.due(connection, "meta", [0], 10)] == ["v-2"]
        holds.lift(connection, "h", Whose.VISITOR)
        assert len(reached.due(connection, "meta", [0], 10)) == 2
