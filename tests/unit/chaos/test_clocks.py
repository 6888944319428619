"""A process whose clock is wrong: the time of day alone, and only until it is healed."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lethe.local.process import Process, Supervisor
from tests.chaos.clocks import wrong
from tests.chaos.stack import wait

TELL = """
import time
while True:
    assert abs(time.time() - time.time_ns() / 1e9) < 10
    print(time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
    time.sleep(0.05)
"""
HOUR = 3_600


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Process]:
    supervisor = Supervisor()
    supervisor.start()
    process = Process("clock", [sys.executable, "-c", TELL], tmp_path / "clock.log")
    supervisor.run(process)
    yield process
    supervisor.stop()


def is_off_by(process: Process, seconds: float) -> bool:
    """Tell whether the last that a process said is so many seconds off, within ten."""
    *_, last = ["", *process.log.read_text().splitlines()[:-1]]
    if not last:
        return False
    real = time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
    said = [float(each) - now for each, now in zip(last.split(), real, strict=True)]
    assert abs(said[1]) < 10
    assert abs(said[2]) < 10
    return abs(said[0] - seconds) < 10


def test_a_clock_is_wrong_steps_while_it_is_read_and_is_right_again(clock: Process) -> None:
    wait(lambda: is_off_by(clock, 0), "the time")
    with wrong(clock, HOUR) as set_:
        wait(lambda: is_off_by(clock, HOUR), "an hour ahead")
        set_(-24 * HOUR)
        wait(lambda: is_off_by(clock, -24 * HOUR), "a day behind")
    wait(lambda: is_off_by(clock, 0), "the time again")
