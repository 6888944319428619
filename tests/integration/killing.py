"""Loops of the worker that are killed by SIGKILL at a point that is named.

Apache Kafka would keep the partitions of who was killed until the session is over. It is told that
they are gone, so that the next has them at once: what else a session holds up, random kills show.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove

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
    broker = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)

    def bury(group: str) -> None:
        """Have a group know that nobody of it is left."""
        members = broker.describe_groups([group])[group]["members"]
        broker.remove_group_members(group, [MemberToRemove(each["member_id"]) for each in members])

    def kill(loop: str, point: Point) -> int:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{loop} {point.where} {point.when} {point.nth}\n")
        process.stdin.flush()
        ended = int(process.stdout.readline())
        bury(settings.kafka.prefix + loop)
        return ended

    yield kill
    broker.close()
    process.communicate(timeout=60)
