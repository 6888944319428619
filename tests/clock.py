"""Periods on the clock, which what is tested here goes by."""

import time


def within_a_period(seconds: int, room: float) -> None:
    """Return where so many seconds of a period are left; wait for the next one if there are not."""
    left = seconds - time.time() % seconds
    if left < room:
        time.sleep(left + 1)
