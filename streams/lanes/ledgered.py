"""A lane whose effects are in the ledger, so that redelivery changes nothing.

A position, what handling its message changed and the messages that say so are one transaction of
the ledger; the messages are sent from its outbox. No Faust agent, though such a message is a
decision: after a rebalance Faust's consumer may stand still, and withdrawals or deletions would.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, Message, TopicPartition
from sqlalchemy import Connection

from privacy.outcome import Reject
from sinks.kafka import BatchProducer, commit, poll, put_back
from sinks.ledger import inbox, outbox
from sinks.ledger.inbox import Position
from sinks.ledger.ledger import Ledger
from streams import metrics
from streams.turns import take_turns

AT_ONCE = 500
WAIT_SECONDS = 0.05  # a withdrawal does not wait for others


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a message: what is to be sent, its dead letter too if it was refused.

    ``erases``: somebody was deleted, and no file of the ledger may keep a byte of them.
    """

    messages: Sequence[outbox.Message] = ()
    reject: Reject | None = None
    erases: bool = False


Take = Callable[[Connection, Sequence[Message]], Sequence[Outcome]]
"""Apply messages that were not handled yet, one at least, in order; return what came of each."""

Ready = Callable[[Connection, Sequence[Message]], Sequence[Message]]
"""Return those that can be handled now; of each partition the first ones. The rest comes again."""


Again = Callable[[Connection, Sequence[outbox.Message]], Sequence[outbox.Message]]
"""Return what stands now of what messages said that were sent too late."""


def nothing(_: Connection, __: Sequence[outbox.Message]) -> Sequence[outbox.Message]:
    """Have nothing to say again: order is no matter."""
    return ()


def all_of_them(_: Connection, messages: Sequence[Message]) -> Sequence[Message]:
    """Wait for nothing."""
    return messages


class LedgeredLane:
    """Runs until told to stop. One thread, one consumer."""

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        ledger: Ledger,
        take: Take,
        *,
        consumer: Consumer,
        producer: BatchProducer,
        ready: Ready = all_of_them,
        again: Again = nothing,
    ) -> None:
        """Read ``topics``; ``name`` is the reader's, in the ledger and among the metrics.

        ``again``: see ``publish``.
        """
        self.name = name
        self._topics = topics
        self._ledger = ledger
        self._effects = take
        self._ready = ready
        self._again = again
        self._consumer = consumer
        self._producer = producer
        self._taken_over: set[tuple[str, int]] = set()
        self._in_hand: Sequence[Message] = ()
        self._to_scrub = False

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; while the ledger is away, wait for it."""
        self._consumer.subscribe(list(self._topics), on_assign=self._assigned)
        try:
            take_turns(self._turn, stop)
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        """Pass on what is in hand, which it is until the ledger has it; then there may be more."""
        if not self._in_hand:
            self._in_hand = poll(self._consumer, AT_ONCE, WAIT_SECONDS)
        places = {(each.topic(), each.partition()) for each in self._in_hand} | self._taken_over
        if places:
            self._pass(self._in_hand, places)
        self._in_hand = ()
        # When all is sent: what waited to be names them too. One that is blocked is tried again.
        if self._to_scrub:
            self._to_scrub = not self._ledger.checkpoint()
            metrics.CHECKPOINT_BLOCKED.inc(self._to_scrub)

    def _assigned(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        # What their former reader left to be sent.
        self._taken_over |= {(each.topic, each.partition) for each in partitions}

    def _pass(self, messages: Sequence[Message], places: Collection[tuple[str, int]]) -> None:
        with self._ledger.transaction() as connection:
            ready = self._ready(connection, messages)
            rejects = self._take(connection, ready)
        for place in sorted(places):
            publish(self._ledger, self._producer, self.name, *place, again=self._again)
            self._taken_over.discard(place)
        if len(ready) < len(messages):
            put_back(self._consumer, _without(messages, ready))
        if ready:
            commit(self._consumer, ready)
            metrics.batch_done(self.name, len(ready) - len(rejects), rejects, {})

    def _take(
        self, connection: Connection, messages: Sequence[Message]
    ) -> Sequence[tuple[Message, Reject]]:
        """Handle what was not handled yet, and return what was refused."""
        lie = [Position(each.topic(), each.partition(), each.offset()) for each in messages]
        new = inbox.first(connection, self.name, lie)
        fresh = [both for both, first in zip(zip(messages, lie, strict=True), new, strict=True)
                 if first]  # fmt: skip
        if not fresh:
            return ()
        outcomes = self._effects(connection, [message for message, _ in fresh])
        self._to_scrub |= any(each.erases for each in outcomes)
        came = list(zip(fresh, outcomes, strict=True))
        outbox.put_all(connection, self.name, [(lies, each.messages) for (_, lies), each in came])
        return [(message, each.reject) for (message, _), each in came if each.reject is not None]


def publish(
    ledger: Ledger,
    producer: BatchProducer,
    reader: str,
    topic: str,
    partition: int,
    *,
    again: Again = nothing,
) -> None:
    """Send what came of a partition, in order, also what an earlier life left.

    Whoever is stopped for long may send what others have sent meanwhile, behind what came later. It
    shows when it is done, and what stands by then is said ``again``.
    """
    while True:
        with ledger.reading() as connection:
            waiting = outbox.pending(connection, reader, topic, partition, AT_ONCE)
        if not waiting:
            return
        by_target: dict[str, list[outbox.Message]] = {}
        for each in waiting:
            by_target.setdefault(each.message.target, []).append(each.message)
        for target, messages in by_target.items():
            producer.send(
                target, [each.value for each in messages], [each.key for each in messages]
            )
        producer.stored()
        with ledger.transaction() as connection:
            if not outbox.sent(connection, waiting):
                said = again(connection, [each.message for each in waiting])
                outbox.put_behind(connection, reader, topic, partition, said)


def _without(messages: Sequence[Message], others: Sequence[Message]) -> Sequence[Message]:
    known = {id(each) for each in others}
    return [each for each in messages if id(each) not in known]
