"""Wait for what others do; never sleep for luck."""

import time
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE = 180.0  # seconds: far more than anything takes, on a machine that does much else


def until(
    true: Callable[[], Any],
    what: str | Callable[[], str] = "it to happen",
    seconds: float = PATIENCE,
) -> Any:
    """Wait for something and return it; fail, saying what did not come."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s for {what if isinstance(what, str) else what()}")
        time.sleep(0.02)
    return found
