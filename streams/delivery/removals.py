"""What undoes an event at a provider, as the ledger remembers it and as a dispatcher sends it."""

from uuid import UUID, uuid5

from privacy.ads import AdEvent
from sinks.ads.contract import Connector
from sinks.ledger.reached import Reached
from streams.delivery.book import Entry

NAMESPACE = UUID("0e5f9c3d-8c1b-4c55-9b0f-0d6a7a1f5d28")  # any, and never another


def undoing(connector: Connector, entry: Entry) -> Reached | None:
    """Return what a removal of the event will need; None when there is none, or it is one itself.

    Its name comes of what it undoes: events of one visitor and consent share a removal.
    """
    removal = connector.removal(entry.event) if entry.event.member else None
    if removal is None:
        return None
    ids = sorted(removal.ids.items())
    what = (connector.name, removal.site, removal.visitor, removal.audience, ids, removal.epoch)
    return Reached(
        str(uuid5(NAMESPACE, repr(what))),
        entry.partition,
        removal.site,
        removal.visitor,
        removal.audience,
        removal.ids,
        removal.epoch,
    )


def removal(reached: Reached, now: int) -> Entry:
    """Return the removal as an event that leaves at ``now`` (milliseconds since 1970)."""
    return Entry(
        AdEvent(
            event_id=reached.event_id,
            site=reached.site,
            visitor=reached.visitor,
            occurred_at=now,
            epoch=reached.epoch,
            audience=reached.audience,
            member=False,
            ids=reached.ids,
        ),
        reached.partition,
    )
