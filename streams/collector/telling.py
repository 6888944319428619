"""Tells who looks for attacks of the requests that the collector answered (S8)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sinks.publish import Publisher, Stored
from sinks.salts import SaltsUnavailableError
from streams.accesses import Accesses
from streams.collector.door import SITE, Door
from streams.metrics import SECURITY_UNTOLD

_OURS = ("/healthz", "/readyz", "/metrics", "/v1/guard")  # probes, and what asks for a visitor

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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

    def middleware(self) -> Any:
        """Return what belongs around all other middlewares, so that it sees their answers."""

        @web.middleware
        async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await handler(request)
            if request.path not in _OURS:
                await self._tell(request, response.status)
            return response

        return tell

    async def _tell(self, request: web.Request, status: int) -> None:
        now, salts = self._clock(), self._accesses.salts
        resource = request.match_info.route.resource
        try:
            if salts.cached(now) is None:
                await asyncio.to_thread(salts.current, now)
            message = self._accesses.message(
                self._new_id(),
                at=now,
                site=request.get(SITE, ""),
                address=self._door.address_of(request),
                method=request.method,
                path=request.path if resource is None else resource.canonical,
                status=status,
                now=now,
            )
        except SaltsUnavailableError:
            SECURITY_UNTOLD.inc()
            return
        self._publisher.send(self._accesses.topic, [message]).add_done_callback(_count_untold)


def _count_untold(stored: Stored) -> None:
    if stored.exception() is not None:
        SECURITY_UNTOLD.inc()
