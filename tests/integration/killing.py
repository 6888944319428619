"""Loops of the worker that are killed by SIGKILL at a point that is named."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from streams.settings import Settings


class Point(NamedTuple):
    """A call that is not survived; ``nth`` of the process."""

    where: str
    when: str = "after"
    nth: int = 1


Kill = Callable[[str, Point], int]
"""Run a loop until it is killed at a point; return how it ended."""


@contextmanager
def killing(settings: Settings) -> Iterator[Kill]:
    """Run what kills loops, one after the other, each in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("crash.py"))],
        env=settings.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def kill(loop: str, point: Point) -> int:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{loop} {point.where} {point.when} {point.nth}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield kill
    process.communicate(timeout=60)
