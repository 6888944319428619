"""A cases lane that is stopped before it sends, while others send what came later."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete

from privacy.lifecycle import CaseState
from schemas.codec import decode
from sinks.ledger import outbox, tables
from sinks.ledger.inbox import Position
from sinks.ledger.outbox import Pending
from streams.lanes.ledgered import publish

Desk = Any
TOPIC = "cases-events"
TOLD = Position("form-submissions", 0, 0)


@pytest.fixture
def stopped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have a case begin, told of by a lane that is stopped; give what has it go on."""
    held: list[Pending] = []
    real = outbox.sent

    def keep(connection: Any, messages: list[Pending]) -> bool:
        held.extend(messages)
        return real(connection, messages)

    monkeypatch.setattr(outbox, "sent", keep)
    desk.submit("case-1", "samples")
    desk.run()
    monkeypatch.setattr(outbox, "sent", real)
    first = [each for each in held if each.source.topic == TOLD.topic]
    assert first

    def go_on() -> None:
        with desk.ledger.transaction() as connection:
            outbox.put(connection, "cases", TOLD, [each.message for each in first])
        producer = desk.broker.producer()

        class Late:
            def send(self, *message: Any) -> None:
                with desk.ledger.transaction() as connection:  # the other has sent them
                    connection.execute(delete(tables.outbox))
                producer.send(*message)
                self.send = producer.send  # type: ignore[method-assign]

            def stored(self) -> None:
                producer.stored()

        late: Any = Late()
        publish(desk.ledger, late, "cases", TOLD.topic, 0, again=desk.transitions.again)

    return go_on


def last(desk: Desk) -> str | None:
    value = desk.broker.values(TOPIC)[-1]
    return None if value is None else str(decode("case", value)["state"])


def test_a_case_is_last_told_as_it_is(desk: Desk, stopped: Callable[[], None]) -> None:
    assert last(desk) == CaseState.OPEN
    with desk.ledger.transaction() as connection:
        connection.execute(tables.cases.update().values(state=CaseState.IN_PROCESS))
    stopped()
    assert last(desk) == CaseState.IN_PROCESS


def test_a_case_that_is_gone_stays_gone(desk: Desk, stopped: Callable[[], None]) -> None:
    with desk.ledger.transaction() as connection:
        connection.execute(delete(tables.cases))
    stopped()
    assert last(desk) is None
