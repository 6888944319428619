"""How long one request takes at most, measured with a server that keeps it waiting."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from sinks.ads.contract import Request
from streams.delivery import http
from streams.delivery.http import Attempt, LostError, boottime, connect
from streams.egress import Egress

ANSWER_SECONDS = 0.3

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and say nothing."""
    await reader.read()
    writer.close()


async def dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and never come to its end, a byte at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    with suppress(ConnectionError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)
    writer.close()


@pytest.mark.parametrize("serve", [silent, dripping])
async def test_a_request_that_began_ends_with_the_time_to_answer(
    serve: Serve, monkeypatch: Any
) -> None:
    monkeypatch.setattr(http, "ANSWER_SECONDS", ANSWER_SECONDS)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    attempt = Attempt(Request("POST", url, b"{}"), boottime() + 10)
    async with server, connect(1, Egress.to([url], clear=True)) as client:
        began = time.monotonic()
        with pytest.raises(LostError, match="Timeout") as lost:
            async with asyncio.timeout(10):
                await client.send(attempt)
        took = time.monotonic() - began
    assert lost.value.begun
    assert ANSWER_SECONDS * 0.9 <= took < ANSWER_SECONDS + 2  # the machine may be busy
