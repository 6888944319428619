"""What delivery writes down: who may send now, and what became of each event."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from privacy.ads import AdEvent
from privacy.outcome import Reason
from sinks.ledger.deliveries import State


@dataclass(frozen=True, slots=True)
class Entry:
    """An event and the partition it lies in."""

    event: AdEvent
    partition: int


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an event; see ``sinks.ledger.deliveries.Finish``."""

    entry: Entry
    state: State
    reason: Reason | None = None
    ticket: str | None = None
    begun_at: int | None = None


class Claim(StrEnum):
    """Whether an event may be sent."""

    NEW = "new"  # it may: nobody tried before
    OPEN = "open"  # somebody tried, and died before writing down how it went
    DONE = "done"  # it was settled before


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

    def claim(self, entries: Sequence[Entry]) -> Mapping[str, Claim]:
        """Say by event id which may be sent, and write down that they are about to be."""
        ...

    def finish(self, results: Collection[Result]) -> None:
        """Write down what became of events."""
        ...

    def release(self, entries: Sequence[Entry]) -> None:
        """Write down that events were claimed and surely not taken."""
        ...

    def tickets(self, partitions: Collection[int]) -> Mapping[str, Sequence[str]]:
        """Return the event ids of each ticket whose provider has not judged yet."""
        ...

    def judge(self, event_ids: Sequence[str], state: State, reason: Reason | None) -> None:
        """Write down what a provider says of a ticket's events."""
        ...
