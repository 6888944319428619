"""An HTTP server as a process: all that a client may take is bounded, and a stop loses nothing.

Who sends headers or a body too slowly is hung up on, so is who does not read answers, and nobody
holds more than some of the connections. What comes compressed is never unfolded.
"""

import asyncio
import resource
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

import structlog
from aiohttp import web, web_response
from aiohttp.http_exceptions import HttpProcessingError

from streams.collector import pages
from streams.collector.limits import Anonymous
from streams.metrics import CONNECTIONS_ENDED as ENDED

MOST_CONNECTIONS = 1_000
MOST_BY_ONE = 200  # of an address, or an IPv6 network (/64)
FILES = 1_000  # open at once besides connections
BODY_SECONDS = 10.0  # for all of a request's body
READ_SECONDS = 10.0  # for a client to take what was written and waits for it: 64 KiB at most
STOP_SECONDS = 15.0  # for requests on their way to be answered
PROTOCOL: Mapping[str, Any] = {
    "access_log": None,
    "auto_decompress": False,  # nothing compressed is taken, so nothing can unfold
    "keepalive_timeout": 5.0,  # seconds for a request's headers to arrive, the first one's too
    "lingering_time": 5.0,  # seconds in which a body nobody wanted is still taken, and let fall
}

NOT_HTTP: web.AppKey[Callable[[web.BaseRequest, int], None]] = web.AppKey("not_http")
"""What an application wants called with what is no HTTP, and the status of its answer."""

_log = structlog.get_logger()


async def listen(
    application: web.Application,
    host: str,
    port: int,
    ready: Callable[[str], None],
    *,
    most_by_one: int = MOST_BY_ONE,
) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is called with the address once it listens.

    On a signal it stops accepting and answers what is on its way. Port 0 takes any free one.
    ``most_by_one``: connections of one address. Raise OSError when the port is taken.
    """
    # aiohttp has no setting for its Server header, which tells its version.
    web_response.SERVER_SOFTWARE = "lethe"  # type: ignore[attr-defined]
    _make_room()
    runner = web.AppRunner(application, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(bounded(runner, most_by_one=most_by_one), host, port)
        address = server.sockets[0].getsockname()
        _log.info("listens", host=address[0], port=address[1])
        ready(f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}")
        await _stop_signal()
        _log.info("stops")
        server.close()
    finally:
        await runner.cleanup()


async def read_body(request: web.Request) -> bytes:
    """Return a request's body. Raise TimeoutError when it does not come in time.

    Raise what aiohttp answers 413 for, and RequestPayloadError or ConnectionError for half a body.
    """
    async with asyncio.timeout(BODY_SECONDS):
        return await request.read()


def bounded(
    runner: web.AppRunner,
    *,
    most_by_one: int = MOST_BY_ONE,
    protocol: Mapping[str, Any] = PROTOCOL,
) -> Callable[[], asyncio.BaseProtocol]:
    """Return what serves a connection, and hangs up at once when all connections are taken."""
    taken, named = Counter[bytes](), Anonymous()
    tell = runner.app.get(NOT_HTTP)

    def connection() -> asyncio.BaseProtocol:
        server = runner.server
        if server is None or len(server.connections) >= MOST_CONNECTIONS:
            return _HangUp()
        inner = _Handler(server, loop=asyncio.get_running_loop(), **protocol)
        inner.tell = tell
        return _Bounded(cast("asyncio.Protocol", inner), taken, named, most_by_one)

    return connection


class _Handler(web.RequestHandler):
    """Answers what is no HTTP without repeating any of it, and counts it instead of logging it."""

    __slots__ = ("tell",)

    tell: Callable[[web.BaseRequest, int], None] | None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        ENDED.labels("not_http").inc()
        if self.tell is not None:
            self.tell(request, status)
        response = web.json_response({"error": "this is not HTTP/1.1 as it must be"}, status=status)
        response.headers.update(pages.SECURITY)
        response.force_close()
        return response


class _HangUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        ENDED.labels("too_many").inc()
        transport.close()


class _Bounded(asyncio.Protocol):
    """Passes a connection on to ``inner``, unless its address has enough of them already.

    ``taken`` counts connections by whose they are. A client that does not read what was written is
    hung up on: it would hold its connection for ever.
    """

    def __init__(
        self, inner: asyncio.Protocol, taken: Counter[bytes], named: Anonymous, most: int
    ) -> None:
        self._inner = inner
        self._taken = taken
        self._named = named
        self._most = most
        self._name: bytes | None = None
        self._transport: asyncio.Transport | None = None
        self._impatient: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        name = self._named(str(peer[0]).partition("%")[0]) if peer else b""
        if self._taken[name] >= self._most:
            ENDED.labels("too_many_by_one").inc()
            transport.close()
            return
        self._taken[name] += 1
        self._name = name
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._name is None:
            return
        self._wait_no_longer()
        self._taken[self._name] -= 1
        if not self._taken[self._name]:
            del self._taken[self._name]
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._name is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._name is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._transport is not None:
            later = asyncio.get_running_loop().call_later
            self._impatient = later(READ_SECONDS, self._hang_up, self._transport)
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._wait_no_longer():
            self._inner.resume_writing()

    @staticmethod
    def _hang_up(transport: asyncio.Transport) -> None:
        ENDED.labels("does_not_read").inc()
        transport.abort()

    def _wait_no_longer(self) -> bool:
        waited, self._impatient = self._impatient, None
        if waited is not None:
            waited.cancel()
        return waited is not None


def _make_room() -> None:
    """Let this process open as many files as it may have connections, where it is allowed to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _stop_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
