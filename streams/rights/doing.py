"""What a step of a request's plan is given, and what it may answer.

A handler does one command of one request, and does nothing when it is called again for what it has
done: a crash lies between any two steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from privacy.rights.plan import Act, Command
from privacy.rights.request import Asked
from sinks.ledger import outbox
from sinks.ledger.requests import Request


@dataclass(frozen=True, slots=True)
class Doing:
    """One step: the ``number``-th command of a request, at ``at`` (milliseconds since 1970)."""

    request: Request
    asked: Asked = field(repr=False)
    key: bytes = field(repr=False)  # of the request
    command: Command
    number: int
    at: int


@dataclass(frozen=True, slots=True)
class Done:
    """It is done. ``outcome``: a few words for the audit, never personal.

    With ``rest_until``, milliseconds since 1970, what follows is not done before; and never while a
    message under the request's id has still to be acknowledged by the broker.
    """

    outcome: str
    messages: Sequence[outbox.Message] = field(default=(), repr=False)
    rest_until: int | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """It is not done yet: look at the request again at ``due_at``, milliseconds since 1970."""

    due_at: int


Handler = Callable[[Connection, Doing], Done | Later]
"""Does a command in the batch's transaction, with the ledger alone."""

Outside = Callable[[Doing], Done | Later]
"""Does a command out of any transaction (ClickHouse, HTTPS); that it is done is noted then."""

Handlers = Mapping[Act, Handler]
Outsides = Mapping[Act, Outside]

_SOONEST_MS, _LATEST_MS = 500, 600_000


def look_again(doing: Doing) -> Later:
    """Return when to look again for what others do: the longer it takes, the later."""
    waited = doing.at - (doing.request.planned_at or doing.at)
    return Later(doing.at + min(max(waited // 4, _SOONEST_MS), _LATEST_MS))
