"""A lane that is stopped before it sends, while another takes its place and sends what came later.

What it sends when it goes on lies behind that, and topics that are compacted keep the last.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from privacy.consent import Decision
from schemas.codec import decode
from sinks.ledger import consents, inbox
from sinks.ledger.consents import ConsentChange
from sinks.ledger.inbox import Position
from sinks.ledger.ledger import Ledger
from sinks.ledger.outbox import Message, put
from streams.lanes.consent import ConsentLane
from streams.lanes.ledgered import publish

IN, OUT = "consent-changes", "consent-state"
VISITOR = b"shop.example|anne"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


class Stopped:
    """A producer of a process that is stopped before its first message leaves."""

    def __init__(self, producer: Any, meanwhile: Callable[[], None]) -> None:
        self._producer = producer
        self._meanwhile = meanwhile

    def send(self, *message: Any) -> None:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        self._producer.send(*message)

    def stored(self) -> None:
        self._producer.stored()


class Consents:
    """One partition of changes, and who tells of them."""

    def __init__(self, ledger: Ledger, broker: Any) -> None:
        self.ledger = ledger
        self.broker = broker
        self._lane: Any = ConsentLane(
            IN, OUT, ledger, purposes=["ads"], ads=["ads"], consumer=None, producer=None
        )

    def decide(self, offset: int, decision: Decision, purpose: str = "ads") -> None:
        """Take a change in; what came of it waits to be sent."""
        lies = Position(IN, 0, offset)
        change = ConsentChange(
            "shop.example", "anne", offset, 0, f"c{offset}", purpose, decision,
            None, None, None, "banner", 1, 1,
        )  # fmt: skip
        with self.ledger.transaction() as connection:
            inbox.first(connection, "consent", [lies])
            (outcome,) = self._lane._record(connection, [(VISITOR, lies, change)])
            put(connection, "consent", lies, outcome.messages)

    def forget(self, offset: int) -> None:
        lies = Position(IN, 0, offset)
        with self.ledger.transaction() as connection:
            inbox.first(connection, "consent", [lies])
            consents.forget(connection, "shop.example", "anne")
            put(connection, "consent", lies, [Message(OUT, VISITOR, None)])

    def publish(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        producer: Any = Stopped(self.broker.producer(), meanwhile)
        publish(self.ledger, producer, "consent", IN, 0, again=self._lane._lane._again)

    def last(self) -> Any:
        value = self.broker.values(OUT)[-1]
        return None if value is None else decode("consent_state", value)

    def decision(self) -> str:
        return str(self.last()["standings"]["ads"]["decision"])


@pytest.fixture
def given(ledger: Ledger, broker: Any) -> Consents:
    """Give a consent that waits to be told of."""
    made = Consents(ledger, broker)
    made.decide(1, Decision.GIVEN)
    return made


def test_a_withdrawal_stays_the_last_word(given: Consents) -> None:
    def another() -> None:
        given.publish()
        given.decide(2, Decision.WITHDRAWN)
        given.publish()

    given.publish(another)
    assert given.decision() == "withdrawn"
    assert given.last()["epoch"] == 3


def test_who_is_forgotten_stays_so(given: Consents) -> None:
    def another() -> None:
        given.publish()
        given.forget(2)
        given.publish()

    given.publish(another)
    assert given.last() is None


def test_what_comes_while_it_says_so_again_comes_last(given: Consents) -> None:
    """The other goes on: it sends a later decision before what is said again, and then both."""

    def another() -> None:
        given.publish()
        given.decide(2, Decision.WITHDRAWN)
        given.publish()
        given.decide(3, Decision.GIVEN)

    given.publish(another)
    assert given.decision() == "given"
    assert given.last()["epoch"] == 4


def test_nothing_is_said_again_where_nobody_else_sent(given: Consents, broker: Any) -> None:
    given.publish()
    given.decide(2, Decision.WITHDRAWN)
    given.publish()
    assert len(broker.values(OUT)) == 2
