"""The collector as a process: bounded connections, and a stop that loses nothing."""

import asyncio
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import web, web_response

from privacy.policy import Policy
from sinks.publish import KafkaPublisher
from sinks.salts import Salts
from streams.collector.app import Collector
from streams.collector.consents import Consents
from streams.settings import Settings

MOST_CONNECTIONS = 1_000
STOP_SECONDS = 15.0  # for requests on their way to be answered
PROTOCOL: Mapping[str, Any] = {
    "access_log": None,
    "auto_decompress": False,  # nothing compressed is taken, so nothing can unfold
    "keepalive_timeout": 10.0,  # seconds for a request's headers to arrive, the first one's too
}

_log = structlog.get_logger()


async def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    policy: Policy | None = None,
    consents: Consents | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Run until SIGINT or SIGTERM; ``ready`` is called with the address once it listens.

    On a signal it stops accepting, answers what is on its way and waits for the broker. Port 0
    takes any free one. Raises OSError when the port is taken.
    """
    publisher = KafkaPublisher(
        settings.kafka.bootstrap,
        settings.kafka.options,
        max_pending=settings.collector.max_pending,
    )
    salts = Salts.under(settings.data_dir)
    collector = Collector(
        settings,
        publisher,
        salts,
        clock=lambda: time.time_ns() // 1_000_000,
        new_id=lambda: str(uuid.uuid4()),  # noqa: TID251 - this is the edge where ids are made
        policy=policy,
        consents=consents,
    )
    try:
        await _listen(collector, host, port, ready)
    finally:
        publisher.close()
        salts.close()


async def _listen(collector: Collector, host: str, port: int, ready: Callable[[str], None]) -> None:
    # aiohttp has no setting for its Server header, which tells its version.
    web_response.SERVER_SOFTWARE = "lethe"  # type: ignore[attr-defined]
    runner = web.AppRunner(collector.application(), shutdown_timeout=STOP_SECONDS, **PROTOCOL)
    await runner.setup()
    try:
        server = await asyncio.get_running_loop().create_server(_bounded(runner), host, port)
        address = server.sockets[0].getsockname()
        _log.info("collector_listens", host=address[0], port=address[1])
        ready(f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}")
        await _stop_signal()
        _log.info("collector_stops")
        server.close()
    finally:
        await runner.cleanup()


def _bounded(runner: web.AppRunner) -> Callable[[], asyncio.BaseProtocol]:
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
