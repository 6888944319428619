"""Made-up logs: invented visitors with documentation addresses."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lethe.intake import Intake
from lethe.tally import Tally
from privacy.pseudonym import Salt
from sinks.publish import MemoryPublisher
from streams.accesses import Accesses
from streams.settings import load

NOW = 1_792_665_000_000  # 2026-10-22T10:30:00Z


@pytest.fixture
def log_line() -> Callable[..., bytes]:
    """Return a function that makes the log line of a visit."""

    def make(number: int, hour: int = 9) -> bytes:
        return (
            f"192.0.2.{number % 250 + 1} - - [22/Oct/2026:{hour:02}:{number // 60 % 60:02}:"
            f'{number % 60:02} +0000] "GET /page/{number} HTTP/1.1" 200 100 "-" "Browser/1.0"\n'
        ).encode()

    return make


@pytest.fixture
def publisher() -> MemoryPublisher:
    """Return what stands in for the broker."""
    return MemoryPublisher()


@pytest.fixture
def tally() -> Tally:
    """Return a fresh tally."""
    return Tally()


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[Accesses]:
    """Return what tells of a log's accesses, with salts of its own."""
    accesses = Accesses(load(engines=False, data_dir=tmp_path), "log")
    yield accesses
    accesses.close()


@pytest.fixture
def intake(publisher: MemoryPublisher, tally: Tally) -> Intake:
    """Return an intake for shop.example whose clock stands still."""
    return Intake(
        publisher,
        "tracking-events",
        "shop.example",
        tally,
        salt=lambda: Salt(b"k" * 32),
        clock=lambda: NOW,
    )
