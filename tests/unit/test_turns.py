"""The loop around whatever works on the ledger."""

import threading

import pytest

from sinks.ledger.ledger import LedgerError, LedgerFaultError
from streams import turns
from streams.turns import take_turns


class Stop(threading.Event):
    """Is set after so many turns, and keeps how long it was waited for instead of waiting."""

    def __init__(self, turns_left: int) -> None:
        super().__init__()
        self.left = turns_left
        self.waited: list[float] = []

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return False


def test_a_turn_that_did_something_is_followed_by_the_next_at_once() -> None:
    stop, found = Stop(4), iter([True, False, None, True])
    take_turns(lambda: next(found), stop, 7.0)
    assert stop.waited == [7.0, 7.0]


def test_while_the_ledger_is_away_the_turn_is_taken_again() -> None:
    stop, taken = Stop(3), 0

    def turn() -> bool:
        nonlocal taken
        taken += 1
        if taken < 3:
            raise LedgerError("SQLITE_BUSY")
        return True

    take_turns(turn, stop, 7.0)
    assert (taken, stop.waited) == (3, [turns.RETRY_SECONDS] * 2)


def test_what_would_fail_again_ends_the_loop() -> None:
    def turn() -> bool:
        raise LedgerFaultError("IntegrityError")

    with pytest.raises(LedgerFaultError):
        take_turns(turn, Stop(3), 7.0)
