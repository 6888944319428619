"""What providers judge later: each ticket is asked about until they have, or for a day (S14)."""

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
        self._asked: dict[str, int] = {}

    def due(self, tickets: list[Ticket]) -> list[Ticket]:
        """Return those to ask about now; the older one is, the more seldom."""
        now = self._clocks.now()
        self._asked = {each.id: at for each in tickets if (at := self._asked.get(each.id))}
        return [
            each
            for each in tickets
            if now - self._asked.get(each.id, 0) >= (now - each.accepted_at) / OFTEN
        ]

    async def ask(self, http: Http, ticket: Ticket) -> None:
        """Ask what became of a ticket's events and write it down; after a day nobody knows."""
        now = self._clocks.now()
        self._asked[ticket.id] = now
        request = self._connector.build_poll(ticket.id)
        attempt = Attempt(request, self._clocks.boottime() + BEGIN_SECONDS)
        outcome = None
        with suppress(TooLateError, LostError):
            outcome = self._connector.read_poll(await http.send(attempt), len(ticket.event_ids))
        judged = None if outcome is None else _JUDGED.get(outcome.verdict)
        if judged is None and now - ticket.accepted_at > ANSWER_BY_MS:
            judged = _JUDGED[Verdict.UNCERTAIN]
        if judged is None:
            return
        if judged[0] != State.DELIVERED:
            code = "no_answer" if outcome is None else outcome.code
            count, name = len(ticket.event_ids), self._connector.name
            _log.error("ads_judged", provider=name, reason=code, count=count)
        with suppress(LedgerError):  # asked again
            self._book.judge(ticket.event_ids, *judged)
