"""The shred loop: cases that are over become unreadable, and the broker is told so (S3, S20).

    shred     case and keys deleted in the ledger
    scrub     the database's log emptied of what was shredded before
    announce  tombstones, deletions and mailing changes acknowledged by the broker

Each step looks in the ledger for what the one before has done, so that it does not matter who did
it, nor where they stopped: whatever was not noted is done again, and harms nothing.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import structlog

from sinks.kafka import BatchProducer
from sinks.ledger import deletion, outbox
from sinks.ledger.cases import Deletion
from sinks.ledger.ledger import Ledger
from streams import metrics
from streams.deletion.announce import Announcement
from streams.deletion.certify import Certifier
from streams.turns import take_turns

AT_ONCE = 1_000
IDLE_SECONDS = 0.1

_log = structlog.get_logger()


class Shredder:
    """Runs until told to stop. One thread; several may work on one ledger."""

    def __init__(
        self,
        ledger: Ledger,
        producer: BatchProducer,
        announcement: Announcement,
        certifier: Certifier,
        clock: Callable[[], int],
    ) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._ledger = ledger
        self._producer = producer
        self._announcement = announcement
        self._certifier = certifier
        self._clock = clock

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Work until ``stop``, with a ``beat`` each turn; while the ledger is away, wait for it."""

        def turn() -> bool:
            beat()
            return self.turn()

        take_turns(turn, stop, IDLE_SECONDS)

    def turn(self) -> bool:
        """Take up to AT_ONCE deletions a step on, and tell whether there were any.

        The broker is told when nothing is left that can be read: it takes longer.
        """
        return any([self.shred(), self.scrub()]) or self.announce()

    def shred(self) -> bool:
        """Delete cases that are over, with their keys, also while the broker is away."""
        with self._ledger.reading() as connection:  # most of the time there is nothing
            found = deletion.to_shred(connection, AT_ONCE)
        if found:
            with self._ledger.transaction() as connection:
                deletion.shred(connection, found, self._clock())
        return bool(found)

    def scrub(self) -> bool:
        """Empty the log. What is shredded meanwhile waits for the next time."""
        with self._ledger.reading() as connection:
            found = deletion.to_scrub(connection, AT_ONCE)
        if not found:
            return False
        if not self._ledger.checkpoint():
            metrics.CHECKPOINT_BLOCKED.inc()
            _log.warning("checkpoint_blocked")
            return False
        at = self._clock()
        with self._ledger.transaction() as connection:
            for requested_at in deletion.unreadable(connection, found, at):
                metrics.UNREADABLE_SECONDS.observe((at - requested_at) / 1000)
        return True

    def announce(self) -> bool:
        """Tell the broker, and certify what no holder outside has to answer for.

        False: there was nothing, or something that should have been gone. A tombstone must be the
        last that is sent of a case: one of which something waits, waits.
        """
        with self._ledger.reading() as connection:
            found = deletion.to_announce(connection, AT_ONCE)
            waiting = outbox.unsent(connection, [each.case_id.encode() for each in found])
        ready = [each for each in found if each.case_id.encode() not in waiting]
        if not ready:
            return False
        self._send(ready)
        with self._ledger.transaction() as connection:
            case_ids = [each.case_id for each in ready]
            deletion.announced(connection, case_ids, self._clock())
            # False, so that the loop pauses before it does the same again.
            return self._certifier.complete(connection, [each.deletion_id for each in ready])

    def _send(self, ready: Iterable[Deletion]) -> None:
        messages = [message for each in ready for message in self._announcement.of(each)]
        for topic, group in groupby(sorted(messages, key=_target), _target):
            of_topic: Sequence[outbox.Message] = list(group)
            self._producer.send(
                topic, [each.value for each in of_topic], [each.key for each in of_topic]
            )
        self._producer.stored()


def _target(message: outbox.Message) -> str:
    return message.target
