"""Has this process read a time of day that is off by what a file says, in seconds.

Python imports it at its start where this folder is on PYTHONPATH. Clocks that nobody sets go on.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

LOOK_SECONDS = 0.2


def skewed(file: Path) -> tuple[Callable[[], float], Callable[[], int]]:
    """Return the two functions that tell the time of day, in seconds and in nanoseconds."""
    seconds, nanoseconds = time.time, time.time_ns
    known, look_at = 0, 0.0

    def off() -> int:
        nonlocal known, look_at
        if time.monotonic() >= look_at:
            look_at = time.monotonic() + LOOK_SECONDS
            known = int(file.read_text())
        return known

    return lambda: seconds() + off(), lambda: nanoseconds() + off() * 1_000_000_000


if "LETHE_CHAOS_CLOCK" in os.environ:
    time.time, time.time_ns = skewed(Path(os.environ["LETHE_CHAOS_CLOCK"]))
