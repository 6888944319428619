"""Refused messages sent once more, when what refused them is mended.

A dead letter says where its message lies; the message is read there and goes to the same topic, as
it is. What would be refused again is not sent, as far as that can be told without the ledger.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message

from privacy.durations import HOUR_MS
from privacy.outcome import Reason, Reject
from schemas.codec import WireError, decode
from schemas.columns import decode_batch
from schemas.registry import topics_of
from sinks.kafka import BatchProducer
from streams.agents.dead_letters import Letter
from streams.cases import EVENTS, SUBMISSIONS
from streams.cases.reading import read_event, read_submission
from streams.lanes.batch import Batch
from streams.lanes.load import loadable
from streams.lanes.readable import read
from streams.lanes.rules import Rules
from streams.lanes.steps import REQUIREMENTS, put_place, require_short_address
from streams.shared import Shared, now
from streams.wiring import rules

LETTERS = "dead-letters"
TRACKING = "tracking-events"
# An event from before an erasure is held back for a day and an hour. One that is sent again stays
# for another day: its lane would have to be half a day behind for it to come too late.
YOUNG_MS = 12 * HOUR_MS

Judge = Callable[[Message], Reject | None]


@dataclass(slots=True)
class Replayed:
    """What became of letters: sent, gone from their topic, too old, not to be sent, or refused."""

    sent: int = 0
    gone: int = 0
    too_old: int = 0
    never: int = 0
    again: Counter[Reason] = field(default_factory=Counter)


class Replay:
    """Looks for dead letters, and sends what they are of."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._prefix = shared.settings.kafka.prefix
        self._places = shared.places

    def letters(
        self, *, reason: str | None = None, processor: str | None = None, since: int = 0
    ) -> Iterator[Letter]:
        """Yield dead letters that are kept, each message's last; times in ms since 1970."""
        found: dict[str, Letter] = {}
        for message in self._places.kept(self._prefix + LETTERS):
            try:
                letter: dict[str, Any] = decode("dead_letter", message.value())
            except WireError:
                continue
            at = int(letter["at"].timestamp() * 1000)
            fits = reason in {None, letter["reason"]}
            if fits and processor in {None, letter["processor"]} and at >= since:
                found[letter["id"]] = {**letter, "at": at}
        yield from found.values()

    def replay(self, letters: Collection[Letter], producer: BatchProducer) -> Replayed:
        """Send the messages of letters once more; return what became of them.

        Raise NotStoredError: then some may have been sent. KafkaException.
        """
        done, judges, at = Replayed(), self._judges(), now()
        for topic, offsets in _by_topic(letters).items():
            name = topic.removeprefix(self._prefix)
            judge = judges.get(name)
            if judge is None:
                done.never += sum(map(len, offsets.values()))
                continue
            for message in self._lying(topic, offsets, done):
                if name.startswith(TRACKING) and message.timestamp()[1] < at - YOUNG_MS:
                    done.too_old += 1
                elif (refused := judge(message)) is not None:
                    done.again[refused.reason] += 1
                else:
                    # By its key: what has none goes anywhere, as it did the first time.
                    keys = None if message.key() is None else [message.key()]
                    producer.send(topic, [message.value()], keys)
                    done.sent += 1
        producer.stored()
        return done

    def _lying(
        self, topic: str, offsets: Mapping[int, set[int]], done: Replayed
    ) -> Iterator[Message]:
        ends = self._places.ends([topic])
        for partition, wanted in offsets.items():
            low, high = ends.get((topic, partition), (0, 0))
            there = sorted(each for each in wanted if low <= each < high)
            found = 0
            for first, last in _runs(there):
                for message in self._places.read((topic, partition), first, last + 1):
                    if message.offset() in wanted and message.value() is not None:
                        found += 1
                        yield message
            done.gone += len(wanted) - found

    def _judges(self) -> Mapping[str, Judge]:
        """Return by topic what tells whether a message would be refused again.

        Not of what providers refused: that is settled. Nor of what nobody refuses: consents.
        """
        policy = self._shared.policy
        services = {} if policy is None else policy.services
        holders = () if policy is None else policy.holders
        known = rules(self._shared)
        judges: dict[str, Judge] = {
            TRACKING: lambda message: _tracking(known, message, short=True),
            f"{TRACKING}-raw": lambda message: _tracking(known, message, short=False),
            "tracking-anonymised": lambda message: _first(loadable([message]).rejects),
            "subject-requests": lambda message: _decodes("subject_request", message),
            SUBMISSIONS: lambda message: _reject(read_submission(message, services, now())),
            EVENTS: lambda message: _reject(read_event(message, services)),
        }
        receipts = topics_of(holders=holders).keys() - topics_of().keys()
        return judges | dict.fromkeys(
            receipts, lambda message: _decodes("deletion_receipt", message)
        )


def _reject(read: object) -> Reject | None:
    return read if isinstance(read, Reject) else None


def _decodes(record: str, message: Message) -> Reject | None:
    return _reject(read(record, message.value(), "decode"))


def _first(rejects: Sequence[tuple[object, Reject]]) -> Reject | None:
    return rejects[0][1] if rejects else None


def _tracking(known: Rules, message: Message, *, short: bool) -> Reject | None:
    decoded = decode_batch("tracking_event", [message.value()])
    for _, fault in decoded.faults:
        return Reject(Reason(fault), "decode")
    batch = Batch(decoded.rows, [message], decoded.index, now())
    for step in (*REQUIREMENTS, *((put_place, require_short_address) if short else ())):
        step(known, batch)
    return next((reject for _, reject in batch.rejects), None)


def _by_topic(letters: Collection[Letter]) -> Mapping[str, Mapping[int, set[int]]]:
    found: dict[str, dict[int, set[int]]] = {}
    for each in letters:
        found.setdefault(each["topic"], {}).setdefault(each["partition"], set()).add(each["offset"])
    return found


def _runs(offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of runs without large gaps: each is read in one go."""
    run: list[int] = []
    for each in offsets:
        if run and each - run[-1] > _GAP:
            yield run[0], run[-1]
            run = []
        run.append(each)
    if run:
        yield run[0], run[-1]


_GAP = 1_000
