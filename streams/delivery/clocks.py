"""Where a dispatcher's time and names come from."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """Milliseconds since 1970, boottime in seconds, nonces."""

    now: Callable[[], int]
    boottime: Callable[[], float]
    nonce: Callable[[], str]


class Stored:
    """What the broker's clock says at least: what it last stamped, and the time that passed since.

    Our own may be wrong by a day. When it is ahead nothing has waited for long because of that, and
    when it is behind nothing is from the future.
    """

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._at_boot: int | None = None

    def saw(self, stamped: int) -> None:
        """Note when the broker stored a message; in milliseconds since 1970."""
        at_boot = stamped - self._since_boot()
        self._at_boot = at_boot if self._at_boot is None else max(self._at_boot, at_boot)

    @property
    def earliest(self) -> int:
        """Return the time that it is at least."""
        return min(self._told())

    @property
    def latest(self) -> int:
        """Return the time that it is by whichever clock is ahead."""
        return max(self._told())

    def _told(self) -> tuple[int, ...]:
        ours = self._clocks.now()
        return (ours,) if self._at_boot is None else (ours, self._at_boot + self._since_boot())

    def _since_boot(self) -> int:
        return int(self._clocks.boottime() * 1000)
