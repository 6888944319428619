"""Where the collector learns what visitors chose."""

from typing import Protocol

from privacy.consent import NOTHING, Consent


class ConsentsUnavailableError(RuntimeError):
    """Raised when it cannot be told what a visitor chose: nobody may guess."""


class Consents(Protocol):
    """What visitors chose."""

    async def of(self, site: str, cookie_id: str) -> Consent:
        """Return what a visitor chose, ``NOTHING`` for one nobody asked.

        Raises ConsentsUnavailableError.
        """
        ...


class MemoryConsents:
    """Keeps consents in ``known``; ``available = False`` is a store that is away."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Consent] = {}
        self.available = True

    async def of(self, site: str, cookie_id: str) -> Consent:
        """Return what a visitor chose; see ``Consents``."""
        if not self.available:
            raise ConsentsUnavailableError
        return self.known.get((site, cookie_id), NOTHING)
