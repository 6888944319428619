"""What is shown of broker and ledger, looked at every few seconds: how far behind, what waits."""

import threading
from collections.abc import Callable, Mapping

import structlog
from confluent_kafka import KafkaException

from sinks.ledger import inbox, outbox, reached, withdrawals
from sinks.ledger.ledger import BACKUP, Ledger
from sinks.places import Places
from streams import metrics
from streams.shared import Shared, now
from streams.status import come_to, readers
from streams.turns import take_turns

EVERY_SECONDS = 15.0

_log = structlog.get_logger()


class Gauges:
    """Sets the gauges. One thread."""

    def __init__(
        self,
        places: Places,
        prefix: str,
        holders: Mapping[str, object],
        ledger: Ledger | None,
        clock: Callable[[], int],
    ) -> None:
        """Look at no ``ledger`` where there is no policy; ``clock`` in ms since 1970."""
        self._places = places
        self._prefix = prefix
        self._readers = readers(holders)
        self._ledger = ledger
        self._clock = clock

    def look(self) -> None:
        """Set all gauges. What does not answer keeps its values, and others say that it is away."""
        try:
            self._look_at_broker()
        except KafkaException as error:
            _log.warning("gauges_without_broker", reason=error.args[0].name())
        if self._ledger is not None:
            self._look_at_ledger(self._ledger)

    def _look_at_broker(self) -> None:
        found = come_to(self._places, self._prefix, self._readers)
        for (reader, topic), (end, done) in found.items():
            metrics.READER_LAG.labels(reader, topic).set(end - done)

    def _look_at_ledger(self, ledger: Ledger) -> None:
        at = self._clock()
        with ledger.reading() as connection:
            metrics.OUTBOX_WAITING.set(outbox.waiting(connection))
            oldest = withdrawals.oldest_unsettled(connection)
            due = reached.waiting(connection)
            backup = inbox.marks(connection, BACKUP).get(BACKUP)
        metrics.WITHDRAWAL_OLDEST.set(0 if oldest is None else max(0, at - oldest) / 1000)
        for each in due:
            metrics.REMOVALS_DUE.labels(each.provider).set(each.removals)
        if backup is not None:
            metrics.BACKUP_AT.set(backup / 1000)


def gauges(shared: Shared, stop: threading.Event) -> None:
    """Run until told to stop."""
    policy = shared.policy
    looking = Gauges(
        shared.places,
        shared.settings.kafka.prefix,
        {} if policy is None else policy.holders,
        None if policy is None else shared.ledger,
        now,
    )
    take_turns(looking.look, stop, EVERY_SECONDS)
