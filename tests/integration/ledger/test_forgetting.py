"""A visitor and a subscriber who are to be forgotten, or told what is known of them (S17, S20)."""

from collections.abc import Callable

from sqlalchemy import select

from privacy.consent import NOTHING, Decision
from sinks.ledger import consents, unsubscribed, withdrawals
from sinks.ledger.consents import ConsentChange
from sinks.ledger.ledger import Ledger
from sinks.ledger.tables import withdrawals as table

Change = Callable[..., ConsentChange]


def test_a_visitor_is_forgotten_and_no_other(ledger: Ledger, change: Change) -> None:
    given, taken = Decision.GIVEN, Decision.WITHDRAWN
    others = {"site": "other"}, {"visitor": "v-2"}
    with ledger.transaction() as connection:
        for number, who in enumerate(({}, *others)):
            changes = [change(2 * number, given, **who), change(2 * number + 1, taken, **who)]
            consents.record(connection, changes, ads={"ads"})
        settled = withdrawals.settle(connection, 3, 99, 5_000)
        assert len(settled) == 3
    for _ in range(2):
        with ledger.transaction() as connection:
            consents.forget(connection, "shop", "v-1")
    with ledger.reading() as connection:
        assert consents.standing(connection, "shop", "v-1") == NOTHING
        assert consents.history(connection, "shop", "v-1") == []
        for site, visitor in (("other", "v-1"), ("shop", "v-2")):
            assert consents.standing(connection, site, visitor) != NOTHING
            assert len(consents.history(connection, site, visitor)) == 2
        named = connection.execute(select(table.c.site, table.c.visitor).order_by(table.c.offset))
        assert named.all() == [("shop", None), ("other", "v-1"), ("shop", "v-2")]


def test_a_person_is_told_which_lists_they_left(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        for list_, subject in (("news", "s-1"), ("offers", "s-1"), ("news", "s-2")):
            unsubscribed.add(connection, list_, subject, 5)
        assert unsubscribed.of_subject(connection, "s-1") == {"news": 5, "offers": 5}
        assert unsubscribed.of_subject(connection, "s-3") == {}
