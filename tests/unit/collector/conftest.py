"""A collector in this process, with a publisher in memory and a clock that a test sets."""

import asyncio
import threading
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.pytest_plugin import AiohttpClient
from aiohttp.test_utils import TestClient, TestServer

from privacy.policy import Policy
from schemas.codec import decode
from sinks.keys.intake import links_keys, subject_key, unsubscribe_keys
from sinks.keys.keks import Keks
from sinks.keys.vault import Vault
from sinks.ledger.ledger import Ledger
from sinks.publish import MemoryPublisher
from sinks.salts import Salts
from streams.collector.app import Collector
from streams.collector.consent_store import MemoryConsents
from streams.collector.forms import Forms
from streams.collector.requests import Requests
from streams.keys.prepare import prepare
from streams.listen import PROTOCOL, bounded
from streams.settings import Collector as CollectorSettings
from streams.settings import Settings, Site, load

NOW = 1_795_510_000_000  # 2026-11-24T08:46:40Z

SITES = {
    "shop.example": Site(
        keys=("shop-key", "shop-key-2"), origins=("https://shop.example", "https://m.shop.example")
    ),
    "blog.example": Site(keys=("blog-key",), origins=("https://blog.example",)),
}


POLICY = Policy.model_validate(
    tomllib.loads(Path(__file__).with_name("policy.toml").read_text(encoding="utf-8"))
)


@dataclass
class Entrance:
    """One collector and what a test needs around it."""

    client: TestClient[Any, Any]
    publisher: MemoryPublisher
    salts: Salts
    consents: MemoryConsents
    ledger: Ledger
    secrets: Path
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

    @property
    def forms(self) -> list[dict[str, Any]]:
        """The forms among it, decoded."""
        return self._published("form-submissions", "form_submission")

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What was said of people's requests among it, decoded."""
        return self._published("subject-requests", "subject_request")

    @property
    def reported(self) -> list[dict[str, Any]]:
        """The service events among it, decoded."""
        return self._published("service-events", "service_event")

    def _published(self, topic: str, record: str) -> list[dict[str, Any]]:
        return [decode(record, m.value) for t, m in self.publisher.stored if t == topic]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(data_dir=tmp_path, sites=SITES)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a data folder with an empty ledger and keys, to be copied: to migrate takes a while."""
    folder = tmp_path_factory.mktemp("template")
    Ledger.open(f"sqlite:///{folder}/ledger.db").close()
    prepare(folder / "secrets", POLICY)
    return folder


def _with_policy(folder: Path) -> tuple[Ledger, dict[str, Any]]:
    """Return a ledger, and the parts of a collector that need the policy."""
    ledger, secrets = Ledger.open(f"sqlite:///{folder}/ledger.db"), folder / "secrets"
    vault, subject = Vault(Keks.under(secrets)), partial(subject_key, secrets)
    requests = Requests(POLICY, ledger, vault, subject, partial(links_keys, secrets))
    forms = Forms(POLICY.services, ledger, vault, subject)
    return ledger, {"policy": POLICY, "forms": forms, "requests": requests}


@dataclass(frozen=True)
class Live:
    """A collector that serves from a thread of this process, for clients that block."""

    host: str
    port: int
    publisher: MemoryPublisher


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Live]:
    loop, publisher = asyncio.new_event_loop(), MemoryPublisher()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[web.AppRunner, asyncio.Server]:
        folder = copytree(template, tmp_path_factory.mktemp("live") / "data")
        unlimited = CollectorSettings(rate=1e9, burst=10**9)
        app = Collector(
            load(data_dir=folder, sites=SITES, collector=unlimited),
            publisher,
            Salts.under(folder),
            clock=lambda: NOW,
            new_id=lambda: "00000000-0000-4000-8000-000000000000",
            consents=MemoryConsents(),
            links=partial(unsubscribe_keys, folder / "secrets"),
            **_with_policy(folder)[1],
        ).application()
        runner = web.AppRunner(app)
        await runner.setup()
        serving = bounded(runner, most_by_one=1_000, protocol={**PROTOCOL, "lingering_time": 0.2})
        return runner, await loop.create_server(serving, "127.0.0.1", 0)

    runner, server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield Live(*server.sockets[0].getsockname(), publisher)
    loop.call_soon_threadsafe(server.close)
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


Enter = Callable[..., Awaitable[Entrance]]


@pytest.fixture
def enter(aiohttp_client: AiohttpClient, tmp_path: Path, template: Path) -> Enter:
    """Return a maker of entrances; arguments are the policy and the settings of the collector."""

    async def make(policy: Policy | None = POLICY, **collector: Any) -> Entrance:
        settings = load(data_dir=tmp_path, sites=SITES, collector=CollectorSettings(**collector))
        publisher, salts, now, number = MemoryPublisher(), Salts.under(tmp_path), [NOW], count(1)
        consents = MemoryConsents()
        if not (tmp_path / "ledger.db").exists():  # a second entrance shares the first one's
            copytree(template, tmp_path, dirs_exist_ok=True)
        ledger, parts = _with_policy(tmp_path)
        secrets = tmp_path / "secrets"
        app = Collector(
            settings,
            publisher,
            salts,
            clock=lambda: now[0],
            new_id=lambda: f"00000000-0000-4000-8000-{next(number):012}",
            consents=consents,
            **({} if policy is None else parts | {"policy": policy}),
            links=partial(unsubscribe_keys, secrets),
        ).application()
        server = TestServer(app)
        await server.start_server(**PROTOCOL)
        client = await aiohttp_client(server)
        return Entrance(client, publisher, salts, consents, ledger, secrets, now)

    return make


@pytest.fixture
async def entrance(enter: Enter) -> Entrance:
    """Return an entrance with the default settings."""
    return await enter()
