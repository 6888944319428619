"""Where the collector learns what visitors chose."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from privacy.consent import NOTHING, Consent
from sinks.ledger import consents
from sinks.ledger.ledger import UNUSABLE, Ledger


class ConsentsUnavailableError(RuntimeError):
    """Raised when it cannot be told what a visitor chose: nobody may guess."""


class Notice(NamedTuple):
    """Which notice a visitor saw, None where nobody says: a signal of the browser shows none."""

    id: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a visitor chose, and by purpose the notice on which they said so last."""

    consent: Consent = NOTHING
    notices: Mapping[str, Notice] = field(default_factory=dict)


class Consents(Protocol):
    """What visitors chose."""

    async def of(self, site: str, cookie_id: str) -> Chosen:
        """Return what a visitor chose, ``Chosen()`` for one nobody asked.

        Raises ConsentsUnavailableError.
        """
        ...


class MemoryConsents:
    """Keeps consents in ``known``; ``available = False`` is a store that is away."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Chosen] = {}
        self.available = True

    async def of(self, site: str, cookie_id: str) -> Chosen:
        """Return what a visitor chose; see ``Consents``."""
        if not self.available:
            raise ConsentsUnavailableError
        return self.known.get((site, cookie_id), Chosen())


class LedgerConsents:
    """Reads the ledger, which has a change soon after the broker has it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def of(self, site: str, cookie_id: str) -> Chosen:
        """Return what a visitor chose; see ``Consents``."""
        try:
            return await asyncio.to_thread(self._of, site, cookie_id)
        except UNUSABLE as error:
            raise ConsentsUnavailableError(str(error)) from None

    def _of(self, site: str, cookie_id: str) -> Chosen:
        with self._ledger.reading() as connection:
            consent = consents.standing(connection, site, cookie_id)
            changes = consents.history(connection, site, cookie_id)
        notices = {
            each.purpose: Notice(each.notice_id, each.notice_version)
            for each in changes  # the oldest first: a yes repeated on a newer notice is on that
            if (standing := consent.standings.get(each.purpose)) is not None
            and each.epoch >= standing.since
        }
        return Chosen(consent, notices)
