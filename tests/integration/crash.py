"""Runs loops of the worker that die by SIGKILL at a point that is named: no program, a test's tool.

Reads lines ``loop module:name before|after nth`` and prints how each ended: minus the signal's
number. A loop's module is imported here, once; each loop runs in a process of its own, forked
before there is any thread of ours.
"""

import os
import signal
import sys
import threading
import traceback
from importlib import import_module
from typing import Any

from streams import logging, parts
from streams.settings import load
from streams.shared import Shared

PATIENCE = 180  # seconds


def loop_of(name: str) -> parts.Loop:
    """Return a loop of the worker; those of ``deliver`` are called ``deliver-<provider>``."""
    if name.startswith("deliver-"):
        loop: parts.Loop = import_module("streams.ads").deliveries(shared)[name]
        return loop
    return parts.loop_of(name)


def arm(where: str, when: str, nth: int) -> None:
    """Have the ``nth`` call of a function be the last thing this process does.

    ``after``: one that returns False had nothing to do, and does not count; one that is async is
    not done when it returns.
    """
    module, _, path = where.partition(":")
    *outer, name = path.split(".")
    owner: Any = import_module(module)
    for each in outer:
        owner = getattr(owner, each)
    real: Any = getattr(owner, name)
    left = nth

    def mortal(*args: Any, **more: Any) -> Any:
        nonlocal left
        said = None if when == "before" else real(*args, **more)
        left -= said is not False
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more) if when == "before" else said

    setattr(owner, name, mortal)


def run(loop: parts.Loop, where: str, when: str, nth: int) -> None:
    signal.alarm(PATIENCE)
    logging.configure("worker")
    arm(where, when, nth)
    loop(shared, threading.Event())


shared = Shared(load())  # nothing of it is open yet
for line in sys.stdin:
    name, where, when, nth = line.split()
    loop = loop_of(name)
    child = os.fork()
    if not child:
        try:
            run(loop, where, when, int(nth))
        except BaseException:  # noqa: BLE001 - the test fails, and this says why
            traceback.print_exc()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
