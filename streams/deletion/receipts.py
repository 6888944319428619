"""The receipts lane: what holders outside say became of deletions and of demands (S3, S17 to S21).

A receipt is of whichever was asked under the id it names; neither can have the other's.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from confluent_kafka import Consumer, Message
from sqlalchemy import Connection

from privacy.certificate import Outcome as Erasure
from privacy.certificate import Receipt
from privacy.outcome import Reason, Reject
from sinks.kafka import BatchProducer
from sinks.ledger import deletion, demands, outbox
from sinks.ledger.cases import Deletion
from sinks.ledger.demands import Demand, Kind
from sinks.ledger.ledger import Ledger
from streams.deletion.certify import Certifier
from streams.lanes.ledgered import LedgeredLane, Outcome
from streams.lanes.readable import read
from streams.lanes.rejects import dead_letter


@dataclass(frozen=True, slots=True)
class Said:
    """A receipt, and what it says it is of; of an export with what is held, sealed."""

    asked_id: str
    case_id: str
    receipt: Receipt
    content: bytes | None = field(repr=False)


Asked = Deletion | Demand


class ReceiptsLane:
    """Runs until told to stop. One thread, one consumer."""

    name = "receipts"

    def __init__(
        self,
        holders: Mapping[str, str],
        dead_letters: str,
        ledger: Ledger,
        certifier: Certifier,
        *,
        consumer: Consumer,
        producer: BatchProducer,
        clock: Callable[[], int],
    ) -> None:
        """Take whose topic each of those to read is: ACLs let nobody else write there.

        ``clock`` tells the milliseconds since 1970.
        """
        self._holders = holders
        self._dead_letters = dead_letters
        self._certifier = certifier
        self._clock = clock
        self._lane = LedgeredLane(
            self.name, list(holders), ledger, self._take, consumer=consumer, producer=producer
        )

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; while the ledger is away, wait for it."""
        self._lane.run(stop)

    def _take(self, connection: Connection, messages: Sequence[Message]) -> list[Outcome]:
        """Keep receipts, and complete what they were the last of."""
        read = [_read(message, self._holders[message.topic()]) for message in messages]
        ids = {each.asked_id for each in read if isinstance(each, Said)}
        known: Mapping[str, Asked] = {
            **deletion.asked(connection, ids),
            **demands.asked(connection, ids),
        }
        judged = [each if isinstance(each, Reject) else _judge(each, known) for each in read]
        good = [each for each in judged if isinstance(each, Said)]
        of_deletions = [each for each in good if isinstance(known[each.asked_id], Deletion)]
        self._keep_of_deletions(connection, of_deletions)
        self._keep_of_demands(connection, [each for each in good if each not in of_deletions])
        return [self._outcome(*both) for both in zip(messages, judged, strict=True)]

    def _keep_of_deletions(self, connection: Connection, good: Sequence[Said]) -> None:
        deletion.receive(connection, [(each.asked_id, each.receipt) for each in good])
        self._certifier.complete(connection, {each.asked_id for each in good})

    def _keep_of_demands(self, connection: Connection, good: Sequence[Said]) -> None:
        answers = [
            (
                each.asked_id,
                each.receipt.holder,
                each.receipt.outcome,
                each.receipt.at,
                each.content,
            )
            for each in good
        ]
        demands.receive(connection, answers)
        demands.complete(connection, {each.asked_id for each in good}, self._clock())

    def _outcome(self, message: Message, judged: Said | Reject) -> Outcome:
        if isinstance(judged, Said):
            return Outcome()
        value = dead_letter(message, judged, self.name, self._clock())
        return Outcome([outbox.Message(self._dead_letters, b"", value)], judged)


def _read(message: Message, holder: str) -> Said | Reject:
    """Return what ``holder``, whose topic it is, says; Reject: another's receipt, or none."""
    content = read("deletion_receipt", message.value(), "read")
    if isinstance(content, Reject):
        return content
    if content["holder"] != holder:
        return Reject(Reason.WRONG_HOLDER, "read", ("holder",))
    at = int(content["at"].timestamp() * 1000)
    receipt = Receipt(holder, Erasure(content["outcome"]), at)
    return Said(content["deletion_id"], content["case_id"], receipt, content["content"])


def _judge(said: Said, known: Mapping[str, Asked]) -> Said | Reject:
    """Refuse a receipt of what nobody asked for, or from somebody who was not asked.

    What is held is kept where it was asked for alone.
    """
    asked = known.get(said.asked_id)
    if asked is None or asked.case_id != said.case_id:
        return Reject(Reason.UNKNOWN_CASE, "judge", ("deletion_id", "case_id"))
    if said.receipt.holder not in asked.holders:
        return Reject(Reason.UNKNOWN_CASE, "judge", ("holder",))
    if isinstance(asked, Demand) and asked.kind is Kind.EXPORT:
        return said
    return replace(said, content=None)
