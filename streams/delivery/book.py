"""What delivery asks and writes down: consents, who may send now, what became of each event."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np

from privacy.ads import AdEvent
from privacy.outcome import Reason
from sinks.ledger.deliveries import State
from sinks.ledger.reached import Reached


@dataclass(frozen=True, slots=True)
class Entry:
    """An event and the partition it lies in."""

    event: AdEvent
    partition: int


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an event; see ``sinks.ledger.deliveries.Finish``.

    ``claimed`` tells whether it was ours: of one that was not, a dispatcher that died may have sent
    it.
    """

    entry: Entry
    state: State
    reason: Reason | None = None
    ticket: str | None = None
    begun_at: int | None = None
    claimed: bool = False


class Ticket(NamedTuple):
    """A request that the provider took and judges later, and when it took it."""

    id: str
    event_ids: Sequence[str]
    accepted_at: int  # milliseconds since 1970


class Claim(StrEnum):
    """Whether an event may be sent."""

    NEW = "new"  # it may: nobody tried before
    OPEN = "open"  # somebody tried, and died before writing down how it went
    DONE = "done"  # it was settled before


class Consents(Protocol):
    """What visitors chose; see ``sinks.consent_barrier.Consents``."""

    def barrier(self) -> Mapping[int, int]: ...  # noqa: D102

    def refusals(  # noqa: D102
        self, visitors: Sequence[bytes | None], purpose: str, carried: np.ndarray
    ) -> np.ndarray: ...

    def withheld(self, visitors: Sequence[bytes | None]) -> np.ndarray: ...  # noqa: D102


class HeldError(RuntimeError):
    """Raised when another dispatcher may still send for a partition."""


class Book(Protocol):
    """One provider's pages of the ledger. Every method is durable when it returns."""

    def hold(self, passed: Mapping[int, int], until: float) -> None:
        """Hold partitions until ``until`` (boottime, seconds). Raise HeldError.

        From now on nothing is sent by consents older than ``passed`` (next offset by partition).
        """
        ...

    def leave(self) -> None:
        """Hold nothing: nothing will be sent before the next ``hold``."""
        ...

    def claim(self, entries: Sequence[Entry], undoing: Sequence[Reached]) -> Mapping[str, Claim]:
        """Say by event id which may be sent, and write down that they are about to be.

        ``undoing`` is what a withdrawal will have to remove: remembered before anything is sent.
        """
        ...

    def finish(self, results: Collection[Result]) -> Sequence[Result]:
        """Write down what became of events; return it as written.

        What a dead dispatcher may have sent is uncertain, whatever else is known of it. A removal
        that is settled is due no more.
        """
        ...

    def release(self, entries: Sequence[Entry]) -> None:
        """Write down that events were claimed and surely not taken."""
        ...

    def due(self, partitions: Collection[int], most: int) -> Sequence[Entry]:
        """Return removals that are due, at most ``most``, the longest due first."""
        ...

    def tickets(self, partitions: Collection[int]) -> list[Ticket]:
        """Return the tickets whose provider has not judged yet."""
        ...

    def judge(self, event_ids: Sequence[str], state: State, reason: Reason | None) -> None:
        """Write down what a provider says of a ticket's events.

        A removal is then due no more, unless nobody knows whether it took place.
        """
        ...
