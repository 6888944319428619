from typing import Any

from sinks.ledger import reached
from sinks.ledger.ledger import Ledger
from sinks.ledger.reached import Reached, Waiting
from sinks.ledger.withdrawals import Withdrawal


def row(number: int, **given: Any) -> Reached:
    made: dict[str, Any] = {
        "event_id": f"r{number}",
        "partition": 0,
        "site": "shop",
        "visitor": "v-1",
        "audience": None,
        "ids": {"ga_client_id": "1.2"},
        "epoch": 5,
    }
    return Reached(**made | given)


def remember(ledger: Ledger, *rows: Reached, provider: str = "meta", purpose: str = "ads") -> None:
    with ledger.transaction() as connection:
        reached.remember(connection, provider, purpose, rows)


def withdraw(
    ledger: Ledger, offset: int, at: int = 100, purpose: str | None = "ads", **given: Any
) -> None:
    whose = {"site": "shop", "visitor": "v-1", **given}
    with ledger.transaction() as connection:
        reached.fall_due(connection, [Withdrawal(offset, 1, purpose=purpose, **whose)], at)


def due(ledger: Ledger, provider: str = "meta", most: int = 9) -> list[str]:
    with ledger.reading() as connection:
        return [each.event_id for each in reached.due(connection, provider, (0, 1), most)]


def test_what_is_due_has_all_that_a_removal_needs(ledger: Ledger) -> None:
    rows = [row(1), row(2, audience="a-1", partition=1, ids={})]
    remember(ledger, *rows)
    assert not due(ledger)
    withdraw(ledger, 5)
    with ledger.reading() as connection:
        assert reached.due(connection, "meta", (0, 1), 9) == rows
        assert reached.due(connection, "meta", (1,), 9) == rows[1:]
        assert reached.due(connection, "meta", (), 9) == []
        assert reached.waiting(connection) == [Waiting("meta", 2, 100)]


def test_only_that_visitor_site_purpose_and_time_is_due(ledger: Ledger) -> None:
    remember(ledger, row(1), row(2, site="blog"), row(3, visitor="v-2"), row(4, epoch=7))
    remember(ledger, row(5), purpose="other")
    withdraw(ledger, 5)
    assert due(ledger) == ["r1"]


def test_a_withdrawal_without_a_purpose_ends_them_all(ledger: Ledger) -> None:
    remember(ledger, row(1))
    remember(ledger, row(2), purpose="other")
    withdraw(ledger, 5, purpose=None)
    assert due(ledger) == ["r1", "r2"]


def test_withdrawals_of_before_removals_end_nothing(ledger: Ledger) -> None:
    remember(ledger, row(1))
    withdraw(ledger, 5, site=None, visitor=None)
    assert not due(ledger)


def test_every_provider_is_due_and_done_alone(ledger: Ledger) -> None:
    remember(ledger, row(1))
    remember(ledger, row(1), provider="x")
    withdraw(ledger, 5)
    with ledger.transaction() as connection:
        reached.forget(connection, "x", ["r1"])
    assert (due(ledger), due(ledger, "x")) == (["r1"], [])


def test_the_longest_due_goes_first_and_stays_due_since_then(ledger: Ledger) -> None:
    remember(ledger, row(1, visitor="v-2"), row(2))
    withdraw(ledger, 5, at=100)
    withdraw(ledger, 5, at=200, visitor="v-2")
    remember(ledger, row(2))
    withdraw(ledger, 6, at=300)
    assert due(ledger) == ["r2", "r1"]
    assert due(ledger, most=1) == ["r2"]
    with ledger.reading() as connection:
        assert reached.waiting(connection) == [Waiting("meta", 2, 100)]
