"""The whole way of ads on real engines: consent changes and events in, stand-ins at the end."""

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from confluent_kafka import Producer

from lethe.cli.standins import CREDENTIALS
from lethe.local.process import Process, Supervisor
from lethe.standins.desk import Desk
from lethe.standins.server import serving
from privacy.consent import Decision, epoch_of
from schemas.codec import encode
from sinks.kafka import SAFE
from sinks.ledger.ledger import Ledger
from streams.settings import Ads, Settings
from streams.shared import ledger_url, now

PATIENCE = 90.0
SITE = "shop.example"
POLICY = """
version = "test"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[purposes.analytics]
title = "Statistics"
covers = "analytics"
mode = "opt_out"
legal_basis = "Art. 6(1)(f) GDPR"
[purposes.ads]
title = "Ads"
covers = "ads"
mode = "opt_in"
legal_basis = "Art. 6(1)(a) GDPR"
[audiences.samples]
sites = ["shop.example"]
pages = ["/samples*"]
[providers.ga4]
purpose = "ads"
sites = ["shop.example"]
pages = true
[providers.google-ads]
purpose = "ads"
sites = ["shop.example"]
conversions = [{ page = "/thanks*", id = "7000000001" }]
[providers.linkedin]
purpose = "ads"
sites = ["shop.example"]
conversions = [{ page = "/thanks*", id = "10000001" }]
[providers.meta]
purpose = "ads"
sites = ["shop.example"]
pages = true
user_agent = true
[providers.meta.audiences]
samples = "120000000000001"
[providers.x]
purpose = "ads"
sites = ["shop.example"]
conversions = [{ page = "/thanks*", id = "ex4m0" }]
"""


class StandIns:
    """The stand-ins' server in a thread of its own."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.url = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with serving(self.desk, "127.0.0.1", 0) as self.url:
            self._ready.set()
            await self._over.wait()


@pytest.fixture
def standins() -> Iterator[StandIns]:
    with StandIns() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, standins: StandIns, tmp_path: Path) -> Settings:
    """Make settings under which every provider is its stand-in."""
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for each in settings.secrets.iterdir():
        if each.is_file():
            (secrets / each.name).write_bytes(each.read_bytes())
    (secrets / "ads").mkdir()
    for files in CREDENTIALS.values():
        for name, credential in files.items():
            file = name.replace("<measurement_id>", "G-SHOP1")
            (secrets / "ads" / file).write_text(credential)
    at = standins.url
    ads = Ads(
        ga4={
            "streams": {SITE: {"measurement_id": "G-SHOP1", "property_id": "1"}},
            "base_url": f"{at}/ga4",
            "admin_url": f"{at}/ga4",
        },
        google_ads={"customers": {SITE: "1234567890"}, "base_url": f"{at}/google-ads"},
        linkedin={"base_url": f"{at}/linkedin"},
        meta={"pixels": {SITE: "1234"}, "base_url": f"{at}/meta"},
        x={"pixels": {SITE: "o8z6j"}, "base_url": f"{at}/x"},
    )
    return settings.model_copy(
        update={
            "policy": policy,
            "ads": ads,
            "secrets_dir": secrets,
            "metrics_port": 0,
            # What a dead worker held goes to another this soon.
            "kafka": settings.kafka.model_copy(update={"session_seconds": 6.0}),
        }
    )


class Visitors:
    """A site whose visitors choose and do things; acknowledged by the broker when it returns."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = Producer(
            {"bootstrap.servers": settings.kafka.bootstrap, **SAFE, "linger.ms": 2}
        )
        self._random = random.Random(5)
        self._number = 0

    def choose(self, visitor: str, decision: Decision, purpose: str = "ads") -> int:
        """Return the epoch of the change."""
        return self.choose_all([visitor], decision, purpose)[visitor]

    def choose_all(
        self, visitors: list[str], decision: Decision, purpose: str = "ads"
    ) -> dict[str, int]:
        """Return the epochs of the changes."""
        epochs: dict[str, int] = {}

        def stored(visitor: str) -> Callable[[Any, Any], None]:
            def report(error: Any, message: Any) -> None:
                assert error is None
                epochs[visitor] = epoch_of(message.offset())

            return report

        for visitor in visitors:
            change = {
                "change_id": self._id(),
                "site": SITE,
                "cookie_id": visitor,
                "purpose": purpose,
                "decision": decision.value,
                "notice_id": "banner",
                "notice_version": "1",
                "language": "en",
                "how": "banner",
                "occurred_at": now(),
                "received_at": now(),
            }
            self._producer.produce(
                self._settings.topic("consent-changes"),
                key=f"{SITE}|{visitor}".encode(),
                value=encode("consent_change", change),
                on_delivery=stored(visitor),
            )
            self._producer.poll(0)
        assert not self._producer.flush(30)
        return epochs

    def event(self, visitor: str, epoch: int | None, path: str = "/tea") -> dict[str, Any]:
        """Return a page view with every provider's id."""
        self._number += 1
        ids = {
            "gclid": f"EAIaIQ{self._number:08}",
            "gbraid": None,
            "wbraid": None,
            "fbp": f"fb.1.1795424000000.{self._number + 100_000_000}",
            "fbc": None,
            "li_fat_id": self._id(),
            "twclid": f"2-{self._number:020x}",
            "ga_client_id": f"{self._number}.1795424000",
        }
        return {
            "event_id": self._id(),
            "occurred_at": now(),
            "received_at": now(),
            "site": SITE,
            "type": "page_view",
            "page": f"https://{SITE}{path}",
            "ip": "192.0.2.0",
            "cookie_id": visitor,
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
            "visitor": self._number,
            "location_consent": False,
            "consent_epoch": epoch,
            "ad_ids": ids if epoch is not None else None,
        }

    def send(self, *events: dict[str, Any]) -> None:
        for event in events:
            self._producer.produce(
                self._settings.topic("tracking-events"),
                key=f"{event['site']}|{event['cookie_id']}".encode(),
                value=encode("tracking_event", event),
            )
            self._producer.poll(0)
        assert not self._producer.flush(30)

    def visit(self, visitor: str, epoch: int | None, path: str = "/tea") -> str:
        """Send one page view and return its id."""
        event = self.event(visitor, epoch, path)
        self.send(event)
        return str(event["event_id"])

    def _id(self) -> str:
        text = f"{self._random.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"


@pytest.fixture
def visitors(settings: Settings) -> Visitors:
    return Visitors(settings)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    opened = Ledger.open(ledger_url(settings))
    yield opened
    opened.close()


class Workers:
    """Worker processes, each with its log."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self.supervisor = Supervisor()
        self.supervisor.start()

    def start(self, name: str, *parts: str) -> Process:
        only = [word for part in parts for word in ("--only", part)]
        process = Process(
            name,
            [sys.executable, "-m", "lethe", "worker", *only],
            self._folder / f"{name}.log",
            environment=self._settings.environment(),
        )
        self.supervisor.run(process)
        return process


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(settings, tmp_path)
    yield made
    made.supervisor.stop()


def wait(
    true: Callable[[], object], what: str | Callable[[], str], seconds: float = PATIENCE
) -> None:
    """Wait for a condition; fail, saying what did not come, when it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s for {what if isinstance(what, str) else what()}")
        time.sleep(0.02)


@pytest.fixture
def until() -> Callable[..., None]:
    return wait
