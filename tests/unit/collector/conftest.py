"""A collector in this process, with a publisher in memory and a clock that a test sets."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.pytest_plugin import AiohttpClient
from aiohttp.test_utils import TestClient, TestServer

from schemas.codec import decode
from sinks.publish import MemoryPublisher
from sinks.salts import Salts
from streams.collector.app import Collector
from streams.collector.server import PROTOCOL
from streams.settings import Collector as CollectorSettings
from streams.settings import Settings, Site, load

NOW = 1_795_510_000_000  # 2026-11-24T08:46:40Z

SITES = {
    "shop.example": Site(
        keys=("shop-key", "shop-key-2"), origins=("https://shop.example", "https://m.shop.example")
    ),
    "blog.example": Site(keys=("blog-key",), origins=("https://blog.example",)),
}


@dataclass
class Entrance:
    """One collector and what a test needs around it."""

    client: TestClient[Any, Any]
    publisher: MemoryPublisher
    salts: Salts
    now: list[int] = field(default_factory=lambda: [NOW])

    async def send(
        self, body: object, *, key: str | None = "shop-key", **headers: str | None
    ) -> ClientResponse:
        """POST ``body``, as JSON unless it is bytes; header names with _ for -."""
        named = {"Content_Type": "application/json", "X_Lethe_Key": key, **headers}
        sent = {name.replace("_", "-"): value for name, value in named.items() if value is not None}
        if isinstance(body, bytes):
            return await self.client.post("/v1/events", data=body, headers=sent)
        return await self.client.post("/v1/events", json=body, headers=sent)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was published, decoded."""
        return [decode("tracking_event", message.value) for _, message in self.publisher.stored]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(data_dir=tmp_path, sites=SITES)


@dataclass(frozen=True)
class Live:
    """A collector that serves from a thread of this process, for clients that block."""

    host: str
    port: int
    publisher: MemoryPublisher


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    loop, publisher = asyncio.new_event_loop(), MemoryPublisher()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> TestServer:
        folder = tmp_path_factory.mktemp("live")
        unlimited = CollectorSettings(rate=1e9, burst=10**9)
        app = Collector(
            load(data_dir=folder, sites=SITES, collector=unlimited),
            publisher,
            Salts.under(folder),
            clock=lambda: NOW,
            new_id=lambda: "00000000-0000-4000-8000-000000000000",
        ).application()
        server = TestServer(app)
        await server.start_server(**PROTOCOL)
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield Live(server.host, server.port or 0, publisher)
    asyncio.run_coroutine_threadsafe(server.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


Enter = Callable[..., Awaitable[Entrance]]


@pytest.fixture
def enter(aiohttp_client: AiohttpClient, tmp_path: Path) -> Enter:
    """Return a maker of entrances; arguments are the settings of the collector."""

    async def make(**collector: Any) -> Entrance:
        settings = load(data_dir=tmp_path, sites=SITES, collector=CollectorSettings(**collector))
        publisher, salts, now, number = MemoryPublisher(), Salts.under(tmp_path), [NOW], count(1)
        app = Collector(
            settings,
            publisher,
            salts,
            clock=lambda: now[0],
            new_id=lambda: f"00000000-0000-4000-8000-{next(number):012}",
        ).application()
        server = TestServer(app)
        await server.start_server(**PROTOCOL)
        return Entrance(await aiohttp_client(server), publisher, salts, now)

    return make


@pytest.fixture
async def entrance(enter: Enter) -> Entrance:
    """Return an entrance with the default settings."""
    return await enter()
