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
    body: bytes
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
    text, which can echo identifiers. ``wait`` in seconds.
    """

    verdict: Verdict
    code: str = ""
    guilty: tuple[int, ...] = ()
    wait: float | None = None
    ticket: str | None = None


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

    def refusal(self, event: AdEvent, now: int) -> Reason | None:
        """Return why the provider would refuse the event; None when it should be sent."""
        ...

    def group(self, event: AdEvent) -> Hashable:
        """Return what events must share to go in one request."""
        ...

    def build_request(self, events: Sequence[AdEvent], now: int, nonce: str) -> Request:
        """Return the request for events of one group, within the limits, that passed ``refusal``.

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
        """Judge the answer; None when the provider is not done. Others than ACCEPTED never ask."""
        ...

    def build_erasure(self, event: AdEvent, now: int, nonce: str) -> Request | None:
        """Return the request that has the provider delete a visitor; None: it offers none."""
        ...
