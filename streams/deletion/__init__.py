"""Deletion: from the end of a case to its certificate. The worker's loops for it need a policy."""

import threading
from collections.abc import Callable, Mapping

from sinks.kafka import BatchProducer
from sinks.signing import Signer, SigningError
from streams.alerts import ALERTS
from streams.deletion.announce import Announcement
from streams.deletion.certify import Certifier
from streams.deletion.overdue import Overdue
from streams.deletion.receipts import ReceiptsLane
from streams.deletion.rolling import Rolling
from streams.deletion.shred import Shredder
from streams.settings import SettingsError
from streams.shared import Shared, now


def delete(shared: Shared, stop: threading.Event) -> None:
    """Make cases that are over unreadable, and tell the broker."""
    producer = shared.producer("delete")
    names = [shared.settings.topic(f"cases-{each}") for each in shared.known_policy.departments]
    shredder(shared, producer).run(stop, Rolling(names, producer, now).beat)


def shredder(shared: Shared, producer: BatchProducer) -> Shredder:
    """Return what makes cases that are over unreadable. Raise SettingsError without its key."""
    announcement = Announcement(shared.known_policy, shared.settings.topic)
    return Shredder(shared.ledger, producer, announcement, _certifier(shared), now)


def receipts(shared: Shared, stop: threading.Event) -> None:
    """Run the receipts lane. Without holders nobody answers."""
    topic_of, holders = shared.settings.topic, shared.known_policy.holders
    if not holders:
        stop.wait()
        return
    ReceiptsLane(
        {topic_of(f"deletion-receipts-{each}"): each for each in holders},
        topic_of("dead-letters"),
        shared.ledger,
        _certifier(shared),
        consumer=shared.consumer("receipts"),
        producer=shared.producer("receipts"),
        clock=now,
    ).run(stop)


def overdue(shared: Shared, stop: threading.Event) -> None:
    """Look for deletions that should be done."""
    topic = shared.settings.topic(ALERTS)
    Overdue(topic, shared.ledger, shared.producer("overdue"), now).run(stop)


def _certifier(shared: Shared) -> Certifier:
    policy = shared.known_policy
    try:
        signer = Signer.under(shared.settings.secrets)
    except SigningError as error:
        raise SettingsError(f"{error}; lethe keys init makes one") from None
    return Certifier(
        shared.ledger,
        signer,
        controller=policy.controller.name,
        policy=policy.version,
        clock=now,
    )


# By the name that ``lethe worker --only`` takes.
LOOPS: Mapping[str, Callable[[Shared, threading.Event], None]] = {
    "delete": delete,
    "receipts": receipts,
    "overdue": overdue,
}
