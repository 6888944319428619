"""Consent given, events arrive; consent withdrawn, nothing leaves; and the ledger says so."""

from collections.abc import Callable
from typing import Any

import pytest

from privacy.consent import Decision
from sinks.ledger import consents, deliveries, withdrawals
from sinks.ledger.deliveries import State
from sinks.ledger.ledger import Ledger

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse]


def test_consented_events_arrive_and_a_withdrawal_stops_them(
    visitors: Any, workers: Any, standins: Any, ledger: Ledger, until: Callable[..., None],
    database: None,
) -> None:  # fmt: skip
    assert database is None
    workers.start("worker", "route", "deliver", "settle", "consent")
    epoch = visitors.choose("a", Decision.GIVEN)
    first = visitors.visit("a", epoch, "/thanks")
    stranger = visitors.visit("b", 1)
    without = visitors.visit("c", None)

    def settled() -> int:
        with ledger.reading() as connection:
            return sum(
                many
                for kind, many in deliveries.counts(connection).items()
                if kind.state != State.CLAIMED
            )

    until(lambda: settled() >= 5, "five providers to have the first event")
    with ledger.reading() as connection:
        counted = deliveries.counts(connection)
    assert {kind.provider for kind in counted} == {"ga4", "meta", "linkedin", "x", "google-ads"}
    assert {kind.state for kind in counted} <= {State.DELIVERED, State.ACCEPTED}, counted
    until(lambda: ("meta", first) in standins.desk.taken, "Meta to have it")
    visitors.choose("a", Decision.WITHDRAWN)

    def effective() -> int | None:
        with ledger.reading() as connection:
            history = consents.history(connection, "shop.example", "a")
        return history[-1].effective_at if len(history) == 2 else None

    until(effective, "the withdrawal to be effective")
    second = visitors.visit("a", epoch)
    again = visitors.choose("a", Decision.GIVEN)
    third = visitors.visit("a", epoch)
    fourth = visitors.visit("a", again)
    until(
        lambda: ("meta", fourth) in standins.desk.taken, "Meta to have the one of the new consent"
    )
    taken = {event_id for _, event_id in standins.desk.taken}
    assert not taken & {second, third, stranger, without}
    with ledger.reading() as connection:
        assert not any(withdrawals.unsettled(connection, each) for each in range(4))
