"""What visitors chose, as the ledger has it."""

import asyncio

from privacy.consent import Consent
from sinks.ledger import consents
from sinks.ledger.ledger import Ledger, LedgerError
from streams.collector.consents import ConsentsUnavailableError


class ConsentsOfLedger:
    """Implements ``Consents`` over the ledger, which has a change soon after the broker has it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def of(self, site: str, cookie_id: str) -> Consent:
        """Return what a visitor chose; see ``Consents``."""
        try:
            return await asyncio.to_thread(self._of, site, cookie_id)
        except LedgerError as error:
            raise ConsentsUnavailableError(str(error)) from None

    def _of(self, site: str, cookie_id: str) -> Consent:
        with self._ledger.reading() as connection:
            return consents.standing(connection, site, cookie_id)
