"""The consent lane: changes into the ledger, what is in force onto ``consent-state`` (S14, S15).

Redelivery changes nothing: a position, a change's proof, what is in force and the message that says
so are one transaction of the ledger, and the message is sent from there. No Faust agent, though a
message is a decision: after a rebalance Faust's consumer may stand still, and withdrawals would.
"""

import threading
from collections.abc import Collection, Sequence

import structlog
from confluent_kafka import Consumer, Message, TopicPartition
from sqlalchemy import Connection

from privacy.consent import Consent, Decision
from privacy.tracking import key
from schemas.codec import WireError, decode, encode
from sinks.kafka import BatchProducer, commit, poll
from sinks.ledger import consents, inbox, outbox
from sinks.ledger.consents import ConsentChange
from sinks.ledger.inbox import Position
from sinks.ledger.ledger import Ledger, LedgerError
from streams import metrics

AT_ONCE = 500
WAIT_SECONDS = 0.05  # a withdrawal does not wait for others
RETRY_SECONDS = 1.0

_log = structlog.get_logger()


class ConsentLane:
    """Runs until told to stop. One thread, one consumer.

    ``purposes`` are the policy's, ``ads`` those whose loss is a withdrawal.
    """

    name = "consent"

    def __init__(
        self,
        topic: str,
        target: str,
        ledger: Ledger,
        *,
        purposes: Collection[str],
        ads: Collection[str],
        consumer: Consumer,
        producer: BatchProducer,
    ) -> None:
        """Read ``topic`` and write ``target``."""
        self._topic = topic
        self._target = target
        self._ledger = ledger
        self._purposes = purposes
        self._ads = ads
        self._consumer = consumer
        self._producer = producer
        self._taken_over: set[int] = set()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; while the ledger is away, wait for it."""
        self._consumer.subscribe([self._topic], on_assign=self._assigned)
        try:
            while not stop.is_set():
                messages = poll(self._consumer, AT_ONCE, WAIT_SECONDS)
                partitions = {message.partition() for message in messages} | self._taken_over
                while partitions and not stop.is_set():
                    try:
                        self._pass(messages, partitions)
                        break
                    except LedgerError as error:
                        _log.warning("ledger_down", reason=str(error))
                        stop.wait(RETRY_SECONDS)
        finally:
            self._consumer.close()

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # What their former reader left to be sent.
        self._taken_over |= {each.partition for each in partitions}

    def _pass(self, messages: Sequence[Message], partitions: Collection[int]) -> None:
        with self._ledger.transaction() as connection:
            lie = [Position(m.topic(), m.partition(), m.offset()) for m in messages]
            new = inbox.first(connection, self.name, lie)
            fresh = [both for both, first in zip(zip(messages, lie, strict=True), new, strict=True)
                     if first]  # fmt: skip
            self._take(connection, fresh)
        for partition in sorted(partitions):
            self._publish(partition)
            self._taken_over.discard(partition)
        if messages:
            commit(self._consumer, messages)
            metrics.batch_done(self.name, len(messages), (), {})

    def _take(self, connection: Connection, messages: Sequence[tuple[Message, Position]]) -> None:
        """Apply changes in order; one that cannot be read may have been a no, to any purpose."""
        run: list[tuple[bytes, Position, ConsentChange]] = []
        for message, lies in messages:
            visitor: bytes = message.key() or b""
            change = _read(message, lies, visitor)
            if change is not None:
                run.append((visitor, lies, change))
                continue
            self._record(connection, run)
            run = []
            self._deny(connection, message, lies, visitor)
        self._record(connection, run)

    def _record(
        self, connection: Connection, run: Sequence[tuple[bytes, Position, ConsentChange]]
    ) -> None:
        states = consents.record(connection, [change for *_, change in run], ads=self._ads)
        for (visitor, lies, _), state in zip(run, states, strict=True):
            self._say(connection, visitor, lies, state)

    def _deny(
        self, connection: Connection, message: Message, lies: Position, visitor: bytes
    ) -> None:
        _log.error("consent_change_unreadable", **lies._asdict())
        site, bar, cookie_id = visitor.decode(errors="replace").partition("|")
        if bar:
            state = consents.deny(
                connection,
                site,
                cookie_id,
                partition=lies.partition,
                offset=lies.offset,
                recorded_at=message.timestamp()[1],
                purposes=self._purposes,
            )
            self._say(connection, visitor, lies, state)

    def _say(self, connection: Connection, visitor: bytes, lies: Position, state: Consent) -> None:
        said = outbox.Message(self._target, visitor, _state(visitor, state, lies))
        outbox.put(connection, self.name, lies, [said])

    def _publish(self, partition: int) -> None:
        """Send what came of a partition, in order, also what an earlier life left."""
        while True:
            with self._ledger.reading() as connection:
                waiting = outbox.pending(connection, self.name, self._topic, partition, AT_ONCE)
            if not waiting:
                return
            for each in waiting:
                value = each.message.value
                self._producer.send(self._target, [value or b""], [each.message.key])
            self._producer.stored()
            with self._ledger.transaction() as connection:
                outbox.sent(connection, waiting)


def _read(message: Message, lies: Position, visitor: bytes) -> ConsentChange | None:
    """Read a change; None when it cannot be read, or is not of the visitor it is filed under."""
    try:
        change = decode("consent_change", message.value())
    except WireError:
        return None
    if key(change) != visitor:
        return None
    return ConsentChange(
        site=change["site"],
        visitor=change["cookie_id"],
        offset=lies.offset,
        partition=lies.partition,
        id=change["change_id"],
        purpose=change["purpose"],
        decision=Decision(change["decision"]),
        notice_id=change["notice_id"],
        notice_version=change["notice_version"],
        language=change["language"],
        how=change["how"],
        occurred_at=int(change["occurred_at"].timestamp() * 1000),
        recorded_at=message.timestamp()[1],
    )


def _state(visitor: bytes, state: Consent, lies: Position) -> bytes:
    site, _, cookie_id = visitor.decode(errors="replace").partition("|")
    return encode(
        "consent_state",
        {
            "site": site,
            "cookie_id": cookie_id,
            "epoch": state.epoch,
            "offset": lies.offset,
            "standings": {
                purpose: {
                    "decision": each.decision.value,
                    "since": each.since,
                    "change": each.change,
                }
                for purpose, each in state.standings.items()
            },
            "spent": sorted(state.spent),
        },
    )
