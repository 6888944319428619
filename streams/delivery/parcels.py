"""Events as they travel: items in hand, and parcels of those that share a request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from privacy.ads import AdEvent
from privacy.outcome import Reason
from sinks.ads.contract import Connector
from sinks.ledger.deliveries import State
from streams.delivery.book import Entry, Result
from streams.lanes.source import Source


@dataclass(slots=True, eq=False)
class Item:
    """An event, the message it came in, when that came, and whether it is ours.

    Without a message it is a removal that the ledger asks for: it waits there for however long.
    ``begun_at`` is when the last request with it began. Times in milliseconds since 1970.
    """

    entry: Entry
    source: Source | None = None
    came: int = 0
    claimed: bool = False
    begun_at: int | None = None

    @property
    def event(self) -> AdEvent:
        """Return what happened."""
        return self.entry.event

    def result(
        self, state: State, reason: Reason | None = None, ticket: str | None = None
    ) -> Result:
        """Return that this became of it."""
        return Result(self.entry, state, reason, ticket, self.begun_at, self.claimed)


@dataclass(slots=True, eq=False)
class Parcel:
    """Events of one request."""

    items: list[Item]
    tries: int = 0
    not_before: float = 0.0  # boottime


def pack(connector: Connector, items: Sequence[Item], now: int) -> Iterator[Parcel]:
    """Yield parcels of events that may share a request, within the connector's limits."""
    groups: dict[object, list[Item]] = {}
    for item in items:
        groups.setdefault(connector.group(item.event), []).append(item)
    most = connector.limits.events
    for group in groups.values():
        for start in range(0, len(group), most):
            yield from _light(connector, Parcel(group[start : start + most]), now)


def halves(parcel: Parcel) -> Iterator[Parcel]:
    """Yield a parcel of several events as two."""
    middle = len(parcel.items) // 2
    for half in (parcel.items[:middle], parcel.items[middle:]):
        yield Parcel(half, parcel.tries)


def _light(connector: Connector, parcel: Parcel, now: int) -> Iterator[Parcel]:
    """Halve a parcel until each part's body is within the limit."""
    most = connector.limits.body
    events = [item.event for item in parcel.items]
    if most and len(events) > 1 and len(connector.build_request(events, now, "").body) > most:
        for half in halves(parcel):
            yield from _light(connector, half, now)
    else:
        yield parcel
