"""An HTTP server as a process: bounded connections, and a stop that answers what is on its way."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import web, web_response

MOST_CONNECTIONS = 1_000
STOP_SECONDS = 15.0  # for requests on their way to be answered
PROTOCOL: Mapping[str, Any] = {
    "access_log": None,
    "auto_decompress": False,  # nothing compressed is taken, so nothing can unfold
    "keepalive_timeout": 10.0,  # seconds for a request's headers to arrive, the first one's too
}

_log = structlog.get_logger()


async def listen(
    application: web.Application, host: str, port: int, ready: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is called with the address once it listens.

    On a signal it stops accepting and answers what is on its way. Port 0 takes any free one.
    Raise OSError when the port is taken.
    """
    # aiohttp has no setting for its Server header, which tells its version.
    web_response.SERVER_SOFTWARE = "lethe"  # type: ignore[attr-defined]
    runner = web.AppRunner(application, shutdown_timeout=STOP_SECONDS, **PROTOCOL)
    await runner.setup()
    try:
        server = await asyncio.get_running_loop().create_server(bounded(runner), host, port)
        address = server.sockets[0].getsockname()
        _log.info("listens", host=address[0], port=address[1])
        ready(f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}")
        await _stop_signal()
        _log.info("stops")
        server.close()
    finally:
        await runner.cleanup()


def bounded(runner: web.AppRunner) -> Callable[[], asyncio.BaseProtocol]:
    """Return what serves a connection, and hangs up at once when all connections are taken."""

    def protocol() -> asyncio.BaseProtocol:
        server = runner.server
        if server is None or len(server.connections) >= MOST_CONNECTIONS:
            return _HangUp()
        return server()

    return protocol


class _HangUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def _stop_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
