"""A blocking loop as a service of the Faust app: one thread, stopped with the worker."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from mode import Service

from streams.health import SILENT_SECONDS, Beating

_log = structlog.get_logger()

Loop = Callable[[threading.Event], None]


class InThread(Service):  # type: ignore[misc]  # mode is not typed
    """Runs ``loop`` until the worker stops; its failure ends the worker, with nothing committed.

    ``loop`` is given an event and must return soon after that is set.
    """

    def __init__(self, name: str, loop: Loop) -> None:
        super().__init__()
        self._name = name
        self._loop_function = loop
        self._flag = Beating(name)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._done: asyncio.Future[None] | None = None

    def goes_round(self) -> bool:
        """Tell whether the loop has asked lately whether to stop."""
        return self._flag.silent() < SILENT_SECONDS

    async def on_start(self) -> None:
        """Start the thread."""
        loop = asyncio.get_running_loop()
        self._done = loop.run_in_executor(self._thread, self._loop_function, self._flag)
        self._done.add_done_callback(self._ended)

    async def on_stop(self) -> None:
        """Tell the loop to stop and wait until it has."""
        self._flag.set()
        if self._done is not None:
            await asyncio.wait([self._done])
        self._thread.shutdown()

    def _ended(self, done: "asyncio.Future[None]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.error("part_failed", part=self._name, exc_info=error)
            asyncio.get_running_loop().create_task(self.crash(error))
