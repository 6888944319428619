"""What providers judge later: each ticket is asked about until they have, or for a day (S14).

A worker whose clock is wrong for a while neither waits longer nor gives anything up for that: how
often is measured by the time since this process first saw a ticket.
"""

from contextlib import suppress
from typing import Final

import structlog

from privacy.outcome import Reason
from sinks.ads.contract import Connector, Verdict
from sinks.ledger.deliveries import State
from sinks.ledger.ledger import LedgerError
from streams.delivery.book import Book, Ticket
from streams.delivery.clocks import Clocks
from streams.delivery.http import Attempt, Http, LostError, TooLateError

ANSWER_BY_MS: Final = 86_400_000  # Data Manager judges within hours and promises nothing
OFTEN: Final = 10  # a ticket is asked about whenever a tenth has been added to its age
SURE_SECONDS: Final = 3_600.0  # that a ticket is known here before it is given up
BEGIN_SECONDS = 1.0

_JUDGED = {
    Verdict.DELIVERED: (State.DELIVERED, None),
    Verdict.REFUSED: (State.REFUSED, Reason.PROVIDER_REFUSED),
    Verdict.UNCERTAIN: (State.UNCERTAIN, Reason.PROVIDER_UNCERTAIN),
}

_log = structlog.get_logger()


class Polls:
    """One provider's open tickets."""

    def __init__(self, connector: Connector, book: Book, clocks: Clocks) -> None:
        self._connector = connector
        self._book = book
        self._clocks = clocks
        self._seen: dict[str, float] = {}  # boottime
        self._asked: dict[str, float] = {}

    def due(self, tickets: list[Ticket]) -> list[Ticket]:
        """Return those to ask about now; the older one is, the more seldom."""
        now = self._clocks.boottime()
        self._seen = {each.id: self._seen.get(each.id, now) for each in tickets}
        self._asked = {name: at for name, at in self._asked.items() if name in self._seen}
        return [
            each
            for each in tickets
            if each.id not in self._asked
            or now - self._asked[each.id] >= (now - self._seen[each.id]) / OFTEN
        ]

    async def ask(self, http: Http, ticket: Ticket) -> None:
        """Ask what became of a ticket's events and write it down; after a day nobody knows."""
        now = self._clocks.boottime()
        self._asked[ticket.id] = now
        request = self._connector.build_poll(ticket.id)
        attempt = Attempt(request, now + BEGIN_SECONDS)
        outcome = None
        with suppress(TooLateError, LostError):
            outcome = self._connector.read_poll(await http.send(attempt), len(ticket.event_ids))
        judged = None if outcome is None else _JUDGED.get(outcome.verdict)
        if judged is None and self._is_over(ticket, now):
            judged = _JUDGED[Verdict.UNCERTAIN]
        if judged is None:
            return
        if judged[0] != State.DELIVERED:
            code = "no_answer" if outcome is None else outcome.code
            count, name = len(ticket.event_ids), self._connector.name
            _log.error("ads_judged", provider=name, reason=code, count=count)
        with suppress(LedgerError):  # asked again
            self._book.judge(ticket.event_ids, *judged)

    def _is_over(self, ticket: Ticket, now: float) -> bool:
        old = self._clocks.now() - ticket.accepted_at > ANSWER_BY_MS
        return old and now - self._seen.get(ticket.id, now) >= SURE_SECONDS
