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

from privacy.policy import Policy
from schemas.codec import decode
from sinks.publish import MemoryPublisher
from sinks.salts import Salts
from streams.collector.app import Collector
from streams.collector.consents import MemoryConsents
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


def _purpose(covers: str, mode: str, legal_basis: str) -> dict[str, str]:
    return {"title": covers, "covers": covers, "mode": mode, "legal_basis": legal_basis}


POLICY = Policy.model_validate(
    {
        "version": "1",
        "controller": {"name": "Example", "contact": "privacy@example.com"},
        "purposes": {
            "statistics": _purpose("analytics", "opt_out", "Art. 6(1)(f) GDPR"),
            "ads": _purpose("ads", "opt_in", "Art. 6(1)(a) GDPR"),
            "remarketing": _purpose("ads", "opt_in", "Art. 6(1)(a) GDPR"),
        },
    }
)


@dataclass
class Entrance:
    """One collector and what a test needs around it."""

    client: TestClient[Any, Any]
    publisher: MemoryPublisher
    salts: Salts
    consents: MemoryConsents
    now: list[int] = field(default_factory=lambda: [NOW])

    async def send(
        self,
        body: object,
        *,
        path: str = "/v1/events",
        key: str | None = "shop-key",
        **headers: str | None,
    ) -> ClientResponse:
        """POST ``body``, as JSON unless it is bytes; header names with _ for -."""
        named = {"Content_Type": "application/json", "X_Lethe_Key": key, **headers}
        sent = {name.replace("_", "-"): value for name, value in named.items() if value is not None}
        if isinstance(body, bytes):
            return await self.client.post(path, data=body, headers=sent)
        return await self.client.post(path, json=body, headers=sent)

    async def ask(self, cookie_id: str, **headers: str) -> ClientResponse:
        """GET what a visitor chose; header names with _ for -."""
        named = {"X_Lethe_Key": "shop-key", **headers}
        return await self.client.get(
            "/v1/consent",
            params={"cookie_id": cookie_id},
            headers={name.replace("_", "-"): value for name, value in named.items()},
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was published, decoded."""
        return self._published("tracking-events", "tracking_event")

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The consent changes among it, decoded."""
        return self._published("consent-changes", "consent_change")

    def _published(self, topic: str, record: str) -> list[dict[str, Any]]:
        return [decode(record, m.value) for t, m in self.publisher.stored if t == topic]


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
            policy=POLICY,
            consents=MemoryConsents(),
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
    """Return a maker of entrances; arguments are the policy and the settings of the collector."""

    async def make(policy: Policy | None = POLICY, **collector: Any) -> Entrance:
        settings = load(data_dir=tmp_path, sites=SITES, collector=CollectorSettings(**collector))
        publisher, salts, now, number = MemoryPublisher(), Salts.under(tmp_path), [NOW], count(1)
        consents = MemoryConsents()
        app = Collector(
            settings,
            publisher,
            salts,
            clock=lambda: now[0],
            new_id=lambda: f"00000000-0000-4000-8000-{next(number):012}",
            policy=policy,
            consents=consents,
        ).application()
        server = TestServer(app)
        await server.start_server(**PROTOCOL)
        return Entrance(await aiohttp_client(server), publisher, salts, consents, now)

    return make


@pytest.fixture
async def entrance(enter: Enter) -> Entrance:
    """Return an entrance with the default settings."""
    return await enter()
