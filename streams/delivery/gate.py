"""Who may send: every consent acknowledged by now is known, and a lease is held.

A round goes through with the gate closed. While nothing is sent, ``keep`` goes through it with the
newest consents, so that a withdrawal becomes effective at once.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import structlog

from sinks.consent_barrier import ConsentUnknownError
from sinks.ledger.ledger import LedgerError
from streams import metrics
from streams.delivery.book import Book, Consents, HeldError

RENEW_SECONDS = 0.2

# Nothing may be sent while it is so; it passes.
NOT_NOW = (ConsentUnknownError, HeldError, LedgerError)

_log = structlog.get_logger()


class Gate:
    """One provider's gate; to be locked while it is used. ``seconds`` is how long a lease is.

    ``boottime`` gives seconds, ``partitions`` what may be sent for.
    """

    def __init__(
        self,
        provider: str,
        consents: Consents,
        book: Book,
        *,
        boottime: Callable[[], float],
        partitions: Callable[[], Sequence[int]],
        seconds: float,
    ) -> None:
        self.lock = asyncio.Lock()
        self._provider = provider
        self._consents = consents
        self._book = book
        self._boottime = boottime
        self._partitions = partitions
        self._seconds = seconds
        self._told = ""

    async def renew(self, wanted: Collection[int] = ()) -> float:
        """Know all consents acknowledged by now and take a lease; return its end (boottime).

        Raise HeldError when the lease would not hold for the partitions ``wanted``.
        """
        passed = await asyncio.to_thread(self._consents.barrier)
        until = self._boottime() + self._seconds
        ours = {each: passed[each] for each in self._partitions()}
        await asyncio.to_thread(self._book.hold, ours, until)
        if gone := set(wanted) - ours.keys():
            raise HeldError(min(gone))
        self._told = ""
        return until

    def is_old(self, until: float) -> bool:
        """Tell whether half of a lease is over: requests that begin now might be too late."""
        return self._boottime() > until - self._seconds / 2

    async def hold_back(self, error: Exception) -> None:
        """Hold nothing, and say why, once."""
        metrics.CONSENTS_UNKNOWN.inc(isinstance(error, ConsentUnknownError))
        reason = type(error).__name__
        if reason != self._told:
            _log.warning("ads_held", provider=self._provider, reason=reason)
            self._told = reason
        await self._leave()

    async def keep(self, stopped: Callable[[], bool]) -> None:
        """Renew the lease while nothing is sent, until ``stopped`` says so; then let go of it."""
        while not stopped():
            async with self.lock:
                try:
                    await self.renew()
                except NOT_NOW as error:
                    await self.hold_back(error)
            await asyncio.sleep(RENEW_SECONDS)
        async with self.lock:
            await self._leave()

    async def _leave(self) -> None:
        """Hold nothing; where the ledger is away, the lease runs out."""
        with suppress(LedgerError):
            await asyncio.to_thread(self._book.leave)
