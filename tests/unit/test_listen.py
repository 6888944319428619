"""The process around an application."""

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from streams import listen
from streams.listen import PROTOCOL, bounded
from streams.metrics import CONNECTIONS_ENDED

Start = Callable[..., Awaitable[int]]
LARGE = 20_000_000  # bytes: more than the sockets between hold
ASKED = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Serve a page the way our servers do; return the port."""
    runners = []

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    async def make(most_by_one: int = 10, **protocol: Any) -> int:
        application = web.Application()
        application.add_routes([web.get("/large", large)])
        runner = web.AppRunner(application)
        await runner.setup()
        port = unused_port()
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            bounded(runner, most_by_one=most_by_one, protocol={**PROTOCOL, **protocol}),
            "0.0.0.0",
            port,
        )
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
    assert 0 < PROTOCOL["keepalive_timeout"] <= 5
    port = await start(keepalive_timeout=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    assert await hung_up(reader)
    writer.close()


async def served_again(port: int) -> None:
    """Wait for a place: one becomes free as soon as the server has noticed."""
    served = b""
    while not served:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASKED)
        with suppress(ConnectionError):
            served = await asyncio.wait_for(reader.readline(), 5)
        writer.close()


async def test_connections_are_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "MOST_CONNECTIONS", 2)
    port = await start()
    taken = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for reader, writer in taken:
        writer.write(ASKED)
        assert await reader.readline() == b"HTTP/1.1 404 Not Found\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await hung_up(reader)
    writer.close()
    for _, writer in taken:
        writer.close()
        await writer.wait_closed()
    await served_again(port)


async def ended(reason: str) -> float:
    return CONNECTIONS_ENDED.labels(reason)._value.get()  # type: ignore[no-any-return]


async def test_nobody_takes_all_connections(start: Start) -> None:
    """Of one address only so many; another is served meanwhile, and so is who comes back."""
    before = await ended("too_many_by_one")
    port = await start(most_by_one=2)
    taken = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for reader, writer in taken:
        writer.write(ASKED)
        assert await reader.readline() == b"HTTP/1.1 404 Not Found\r\n"
    greedy, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await hung_up(greedy)
    writer.close()
    assert await ended("too_many_by_one") == before + 1
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    writer.write(ASKED)
    assert await reader.readline() == b"HTTP/1.1 404 Not Found\r\n"
    writer.close()
    taken[0][1].close()
    await served_again(port)
    taken[1][1].close()


async def test_whoever_does_not_read_is_hung_up_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "READ_SECONDS", 0.1)
    before = await ended("does_not_read")
    port = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(b"GET /large HTTP/1.1\r\nHost: a.example\r\n\r\n")
    until = asyncio.get_running_loop().time() + 5
    while await ended("does_not_read") == before:
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.01)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(LARGE), 5)
    writer.close()


async def test_whoever_reads_gets_it_whole(start: Start) -> None:
    port = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /large HTTP/1.1\r\nHost: a.example\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert len(await asyncio.wait_for(reader.readexactly(LARGE), 20)) == LARGE
    writer.close()


def test_there_is_room_for_all_connections() -> None:
    listen._make_room()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft >= min(listen.MOST_CONNECTIONS + listen.FILES, hard)


async def test_what_is_no_http_is_counted_and_not_repeated(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    before = await ended("not_http")
    port = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/9.9 secret-value\r\nHost: secret-value\r\n\r\n")
    said = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert said.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert b"secret-value" not in said
    assert b"nosniff" in said
    assert not caplog.records
    assert await ended("not_http") == before + 1
