"""Where a dispatcher's time and names come from."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """Milliseconds since 1970, boottime in seconds, nonces."""

    now: Callable[[], int]
    boottime: Callable[[], float]
    nonce: Callable[[], str]
