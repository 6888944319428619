"""What ad providers may have got since a backup: remembered, so that it can be undone there.

What waits on their topics may have been claimed by a dispatcher that the lost ledger knew of. It is
claimed as if that had died with it: what a provider cannot tell from a second sending is not sent
again, and uncertain.
"""

from privacy.outcome import Reject
from sinks.ledger import deliveries, reached
from sinks.places import Places
from streams.delivery.book import Entry
from streams.delivery.connectors import connector
from streams.delivery.lane import read_event
from streams.delivery.removals import undoing
from streams.restoring.archive import Manifest
from streams.shared import Shared, now

AT_ONCE = 1_000


def remember(shared: Shared, places: Places, manifest: Manifest) -> int:
    """Remember what was sent since, as far as it is on the topics; return what is uncertain."""
    uncertain = 0
    for name, provider in shared.known_policy.providers.items():
        topic, reader = shared.settings.topic(f"ads-{name}"), f"deliver-{name}"
        then = manifest.readers.get(reader, {}).get(f"ads-{name}", {})
        done = places.committed(shared.settings.kafka.prefix + reader, [topic])
        undo = connector(name, shared.settings)
        for place, (low, high) in places.ends([topic]).items():
            partition = place[1]
            some: list[tuple[Entry, bool]] = []
            for message in places.read(place, max(then.get(str(partition), 0), low), high):
                event = read_event(message.value())
                if isinstance(event, Reject):
                    continue  # the lane refuses it
                some.append((Entry(event, partition), message.offset() >= done.get(place, 0)))
            for start in range(0, len(some), AT_ONCE):
                piece = some[start : start + AT_ONCE]
                rows = [row for entry, _ in piece if (row := undoing(undo, entry)) is not None]
                waiting = [(e.event.event_id, e.event.site) for e, waits in piece if waits]
                with shared.ledger.transaction() as connection:
                    reached.remember(connection, name, provider.purpose, rows)
                    uncertain += len(deliveries.claim(connection, name, partition, waiting, now()))
    return uncertain
