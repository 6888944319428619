"""Loops of the worker, run in threads of one process as the worker does."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

PATIENCE = 600.0
LOOK_SECONDS = 0.1

Loop = Callable[[threading.Event], None]
Until = Callable[[Callable[[], bool]], None]


@contextmanager
def working(loops: Sequence[Loop]) -> Iterator[Until]:
    """Run loops until the block ends; gives what waits until something is so.

    That raises what a loop raises, and TimeoutError when it takes longer than PATIENCE.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(len(loops)) as threads:
        running = [threads.submit(each, stop) for each in loops]

        def until(it_is_so: Callable[[], bool]) -> None:
            end = time.monotonic() + PATIENCE
            while not it_is_so():
                for each in running:
                    if each.done():
                        each.result()
                        raise RuntimeError("a loop has ended by itself")
                if time.monotonic() > end:
                    raise TimeoutError
                time.sleep(LOOK_SECONDS)

        try:
            yield until
        finally:
            stop.set()
        for each in running:
            each.result()
