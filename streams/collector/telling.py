"""Tells who looks for attacks of the requests that the collector answered (S8)."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from sinks.publish import Publisher, Stored
from sinks.salts import SaltsUnavailableError
from streams.accesses import Accesses, Answered
from streams.collector.door import SITE, Door
from streams.metrics import SECURITY_UNTOLD

_OURS = ("/healthz", "/readyz", "/metrics", "/v1/guard")  # probes, and what asks for a visitor


class Telling:
    """Tells after the answer, and waits for nobody: what cannot be told is counted.

    Of a request that is for somebody (a link, an answer) the route is told, not its token.
    """

    def __init__(
        self,
        accesses: Accesses,
        door: Door,
        publisher: Publisher,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._accesses = accesses
        self._door = door
        self._publisher = publisher
        self._clock = clock
        self._new_id = new_id
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself would forget them

    async def tell(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell of an answer that is about to be sent, whoever made it: aiohttp makes some."""
        if request.path not in _OURS:
            address, method = self._door.address_of(request), request.method
            resource = request.match_info.route.resource
            path = request.path if resource is None else resource.canonical
            answered = Answered(self._clock(), address, method, path, response.status)
            await self._tell(request.get(SITE, ""), answered)

    def tell_not_http(self, request: web.BaseRequest, status: int) -> None:
        """Tell of what was refused before it was a request: of it nothing but whose it is."""
        address = self._door.address_of_peer(request.remote)
        telling = self._tell("", Answered(self._clock(), address, "", "", status))
        task = asyncio.get_running_loop().create_task(telling)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, site: str, answered: Answered) -> None:
        now, salts = answered.at, self._accesses.salts
        try:
            if salts.cached(now) is None:
                await asyncio.to_thread(salts.current, now)
            message = self._accesses.message(self._new_id(), answered, site=site, now=now)
        except SaltsUnavailableError:
            SECURITY_UNTOLD.inc()
            return
        self._publisher.send(self._accesses.topic, [message]).add_done_callback(_count_untold)


def _count_untold(stored: Stored) -> None:
    if stored.exception() is not None:
        SECURITY_UNTOLD.inc()
