"""What every ad provider's connector answers: pure functions, no socket, no clock.

The delivery lane asks ``refusal`` of each event, groups by ``group``, cuts batches to ``limits``,
checks consent, sends what ``build_request`` returns, and lets ``read_response`` judge.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from privacy.ads import AdEvent
from privacy.outcome import Reason


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; ``url`` is absolute, ``body`` JSON.

    ``secret_query`` is for a secret that the provider takes nowhere else: it is added to the URL
    at the socket and never logged.
    """

    method: str
    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_query: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Verdict(StrEnum):
    """What became of a request, by the provider's own codes."""

    DELIVERED = "delivered"
    ACCEPTED = "accepted"  # taken, judged later: ``Outcome.ticket`` asks
    RETRY = "retry"  # nothing was taken; the same again later
    THROTTLED = "throttled"  # nothing was taken; not before ``Outcome.wait``
    UNAUTHORISED = "unauthorised"  # nothing was taken; with a new token
    REFUSED = "refused"  # nothing was taken, for the fault of ``Outcome.guilty`` or of somebody
    STOPPED = "stopped"  # nothing will be taken until somebody mends the configuration
    UNCERTAIN = "uncertain"  # it may have been taken, and the provider cannot tell twice from once


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict with what follows from it.

    ``guilty`` are places in the batch the provider named; empty with ``REFUSED`` means that it
    named none, and halving finds them. ``code`` is the provider's own, safe to log: never its
    text, which can echo identifiers. ``wait`` in seconds. ``each`` is a verdict for each event by
    its place, where the provider told them apart; empty: ``verdict`` is that of all.
    """

    verdict: Verdict
    code: str = ""
    guilty: tuple[int, ...] = ()
    wait: float | None = None
    ticket: str | None = None
    each: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request and one account bear. Zero: no limit of its own."""

    events: int
    body: int = 0  # bytes
    requests_a_minute: int = 0
    events_a_quarter_hour: int = 0
    requests_a_day: int = 0


class Connector(Protocol):
    """One provider. Times are milliseconds since 1970."""

    name: str
    limits: Limits
    deduplicates: bool  # whether an event sent twice counts once, by the id we give it
    keeps: str  # what stays with the provider after a withdrawal, for people to read

    def refusal(self, event: AdEvent, now: int) -> Reason | None:
        """Return why the provider would refuse the event; None when it should be sent."""
        ...

    def group(self, event: AdEvent) -> Hashable:
        """Return what events must share to go in one request."""
        ...

    def build_request(self, events: Sequence[AdEvent], now: int, nonce: str) -> Request:
        """Return the request for events of one group, within the limits, that passed ``refusal``.

        A group has either members (or no audience) or removals; see ``removal``.
        ``nonce`` is new for each try, for providers whose signature needs one.
        """
        ...

    def read_response(self, response: Response, count: int) -> Outcome:
        """Judge the answer to a request of ``count`` events."""
        ...

    def build_poll(self, ticket: str) -> Request:
        """Return the request that asks what became of an ACCEPTED one."""
        ...

    def read_poll(self, response: Response, count: int) -> Outcome | None:
        """Judge the answer: DELIVERED, REFUSED or UNCERTAIN; None: ask again later.

        The events are no longer at hand, so nothing of them can be sent again.
        """
        ...

    def removal(self, event: AdEvent) -> AdEvent | None:
        """Return the event that undoes a sent one when its consent is withdrawn; see ``leave``.

        It can be sent again and again. None: the provider offers no such call; see ``keeps``.
        """
        ...


class AtOnce:
    """What a provider's connector needs besides that judges at once, and never says ACCEPTED."""

    def build_poll(self, ticket: str) -> Request:
        """Never called: nothing is judged later."""
        raise NotImplementedError

    def read_poll(self, response: Response, count: int) -> Outcome | None:
        """Never called: nothing is judged later."""
        raise NotImplementedError


def leave(event: AdEvent, audience: str | None, ids: Mapping[str, str]) -> AdEvent:
    """Return the removal of an event: its visitor leaves ``audience``.

    Without one the provider deletes what it holds of the visitor. ``ids`` are those the provider
    needs for that; nothing else of the event stays.
    """
    return AdEvent(
        event.event_id,
        event.site,
        event.visitor,
        event.occurred_at,
        event.epoch,
        audience=audience,
        member=False,
        ids=ids,
    )
