"""The cases lane: form submissions become cases, service events drive them (S1 to S7).

Submissions come before events. An event whose case is still on its way, since its key is there,
waits for it; every other event is taken once, by its id, or refused with a reason and no change.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, Message
from sqlalchemy import Connection

from privacy.outcome import Reject
from privacy.policy import Policy
from sinks.kafka import BatchProducer
from sinks.ledger import cases, outbox
from sinks.ledger.cases import Case
from sinks.ledger.ledger import Ledger
from streams.cases.reading import Event, read_event, read_submission
from streams.cases.transitions import Transitions
from streams.cases.unread import Unread
from streams.cases.work import Said, Work
from streams.lanes.ledgered import LedgeredLane, Outcome
from streams.lanes.rejects import dead_letter

# For a submission that an event overtook; after that it waits as long as there are unread ones. The
# key may be one nobody used.
PATIENCE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Topics:
    """The lane's topics as the broker has them."""

    submissions: str
    events: str
    dead_letters: str


class CasesLane:
    """Runs until told to stop. One thread, one consumer."""

    name = "cases"

    def __init__(
        self,
        topics: Topics,
        policy: Policy,
        transitions: Transitions,
        ledger: Ledger,
        *,
        consumer: Consumer,
        producer: BatchProducer,
        clock: Callable[[], int],
    ) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._topics = topics
        self._policy = policy
        self._transitions = transitions
        self._clock = clock
        self._unread = Unread(consumer, topics.submissions)
        self._lane = LedgeredLane(
            self.name,
            [topics.submissions, topics.events],
            ledger,
            self._take,
            consumer=consumer,
            producer=producer,
            ready=self._ready,
            again=transitions.again,
        )

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; while the ledger is away, wait for it."""
        self._lane.run(stop)

    def _read(self, message: Message) -> Case | Event | Reject:
        if message.topic() == self._topics.submissions:
            return read_submission(message, self._policy.services, self._clock())
        return read_event(message, self._policy.services)

    def _ready(self, connection: Connection, messages: Sequence[Message]) -> list[Message]:
        """Leave, of each partition, the first event whose case is on its way, and what follows."""
        submissions = [each for each in messages if each.topic() == self._topics.submissions]
        events = [each for each in messages if each.topic() == self._topics.events]
        since = self._clock() - PATIENCE_MS
        keys = {_key(each) for each in events}
        coming = cases.coming(connection, keys - {_key(each) for each in submissions})
        ready = submissions
        stopped: set[int] = set()
        for each in events:
            if each.partition() in stopped:
                continue
            if _key(each) in coming and (each.timestamp()[1] > since or self._unread.before(each)):
                stopped.add(each.partition())
            else:
                ready.append(each)
        return ready

    def _take(self, connection: Connection, messages: Sequence[Message]) -> list[Outcome]:
        """Begin the cases of the batch, then apply its events."""
        read = [self._read(message) for message in messages]
        submitted = [each for each in read if isinstance(each, Case)]
        events = [each for each in read if isinstance(each, Event)]
        work = Work(connection, self._policy, self._transitions, self._clock())
        work.load(submitted, events)
        said: dict[int, Said] = {}
        for place, each in enumerate(read):
            if isinstance(each, Case):
                said[place] = work.begin(each)
        for place, each in enumerate(read):
            if isinstance(each, Event):
                said[place] = work.apply(each)
            elif isinstance(each, Reject):
                said[place] = each
        work.flush()
        return [self._outcome(message, said[place]) for place, message in enumerate(messages)]

    def _outcome(self, message: Message, said: Said) -> Outcome:
        if not isinstance(said, Reject):
            return Outcome(said)
        value = dead_letter(message, said, self.name, self._clock())
        return Outcome([outbox.Message(self._topics.dead_letters, b"", value)], said)


def _key(message: Message) -> str:
    """Return the case that a message is about, or the group: the key that it lies under."""
    return (message.key() or b"").decode(errors="replace")
