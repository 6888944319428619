"""The whole way of ads on real engines: consent changes and events in, stand-ins at the end."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from lethe.local.process import Process, Supervisor
from lethe.standins.account import SITE, ad_ids, put_credentials, with_standins
from lethe.standins.server import StandIns, in_thread
from privacy.consent import Decision, epoch_of
from privacy.tracking import AD_IDS
from schemas.codec import encode
from sinks.kafka import SAFE
from sinks.ledger.ledger import Ledger
from streams.settings import Settings
from streams.shared import ledger_url, now
from tests import waiting


@pytest.fixture
def standins() -> Iterator[StandIns]:
    with in_thread() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, standins: StandIns, tmp_path: Path) -> Settings:
    """Make settings under which every provider is its stand-in."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for each in settings.secrets.iterdir():
        if each.is_file():
            (secrets / each.name).write_bytes(each.read_bytes())
    put_credentials(secrets)
    made = with_standins(settings, standins.url)
    if os.environ.get("LETHE_TEST_BROKER", "embedded") == "embedded":
        # On a busy machine a lease may be overrun. Whoever does that is killed, and groups of this
        # broker may wait for ever for who was killed.
        made = made.model_copy(update={"ads": made.ads.model_copy(update={"lease_seconds": 10.0})})
    return made.model_copy(
        update={
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
            "ad_ids": None if epoch is None else {**dict.fromkeys(AD_IDS), **ad_ids(self._number)},
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

    def start(self, name: str, *parts: str, metrics_port: int = 0) -> Process:
        only = [word for part in parts for word in ("--only", part)]
        return self._run(name, ["worker", *only], LETHE_METRICS_PORT=str(metrics_port))

    def collect(self, port: int) -> None:
        self._run("collect", ["collect", "--port", str(port)], port)

    def _run(self, name: str, words: list[str], *ports: int, **more: str) -> Process:
        process = Process(
            name,
            [sys.executable, "-m", "lethe", *words],
            self._folder / f"{name}.log",
            ports,
            self._settings.environment() | more,
        )
        self.supervisor.run(process)
        return process


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(settings, tmp_path)
    yield made
    made.supervisor.stop()


@pytest.fixture
def until() -> Callable[..., None]:
    return waiting.until
