"""The process around an application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from streams import listen
from streams.listen import PROTOCOL, bounded

Start = Callable[..., Awaitable[int]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Serve a page the way our servers do; return the port."""
    runners = []

    async def make(**protocol: Any) -> int:
        runner = web.AppRunner(web.Application(), **{**PROTOCOL, **protocol})
        await runner.setup()
        port = unused_port()
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(bounded(runner), "127.0.0.1", port)
        runners.append((runner, listener))
        return port

    yield make
    for runner, listener in runners:
        listener.close()
        await runner.cleanup()


async def hung_up(reader: asyncio.StreamReader) -> bool:
    return await asyncio.wait_for(reader.read(), 5) == b""


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/ev", b"POST /v1/events HTTP/1.1\r\nHost: a.example\r\nX-Leth"]
)
async def test_whoever_does_not_send_headers_in_time_is_hung_up_on(
    start: Start, sent: bytes
) -> None:
    assert 0 < PROTOCOL["keepalive_timeout"] <= 10
    port = await start(keepalive_timeout=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    assert await hung_up(reader)
    writer.close()


async def test_connections_are_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "MOST_CONNECTIONS", 2)
    port = await start()
    taken = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for reader, writer in taken:
        writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 404 Not Found\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await hung_up(reader)
    writer.close()
    for _, writer in taken:
        writer.close()
        await writer.wait_closed()
    while True:  # a place becomes free as soon as the server has noticed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        try:
            served = await asyncio.wait_for(reader.readline(), 5)
        except ConnectionError:
            served = b""
        writer.close()
        if served:
            break
