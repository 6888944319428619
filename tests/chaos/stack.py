"""A company under fire: every process for real, on engines that outlast it.

``Ground`` is what outlasts a slice of a plan: broker and ClickHouse, and what faults of the
environment need (a proxy, a small disk). ``Stack`` is the company of one slice, with topics,
tables, ledger and secrets of its own.
"""

import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Final, Protocol, Self

from kafka.errors import KafkaError

from lethe import RetentionWorker
from lethe.local.process import Process, Supervisor, listening
from lethe.retention import ReceiptFailedError
from lethe.standins.account import POLICY, put_credentials, with_standins
from lethe.standins.server import StandIns
from sinks.clickhouse.client import ClickHouseDownError, Client
from sinks.clickhouse.connect import connect
from sinks.clickhouse.migrate import Migrations
from sinks.ledger.ledger import Ledger
from sinks.places import Places
from streams.settings import Settings, Statistics
from streams.status import come_to, readers
from tests.integration.company import Company, of_company

HEALTHY_SECONDS = 60.0
SESSION_SECONDS = 6.0
LEASE_SECONDS = 2.0

# Which parts share a worker. Two of those that deliver: one may be stopped, and the other goes on.
WORKERS: Mapping[str, Sequence[str]] = {
    "entrance": ("anonymise", "anonymise-raw", "close", "agents"),
    "loader": ("load", "security"),
    "ads-1": ("route", "deliver", "settle", "consent"),
    "ads-2": ("route", "deliver", "settle", "consent"),
    "cases": ("cases", "closures", "delete", "receipts", "requests", "rights", "visitor-facts"),
}


AMIDST_SECONDS: Final = 180.0
"""For what a fault waits for: others are under way, and may hold a process up one by one."""


class ChaosError(RuntimeError):
    """Raised when something did not come in its time; says what."""


def wait(
    true: Callable[[], Any],
    what: str | Callable[[], str],
    seconds: float = AMIDST_SECONDS,
    *,
    pause: float = 0.05,
) -> Any:
    """Wait for something and return it. Raise ChaosError, saying what did not come."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > deadline:
            raise ChaosError(
                f"waited {seconds:g} s for {what if isinstance(what, str) else what()}"
            )
        time.sleep(pause)
    return found


@dataclass(frozen=True)
class Ground:
    """Engines that run, under the addresses that clients are to use.

    ``supervisor`` has the processes ``brokers`` and ``clickhouse``. ``folders`` are where they keep
    what they have. ``offers`` is what faults need besides, by the name they ask for it.
    """

    settings: Settings
    supervisor: Supervisor
    folders: Sequence[Path]
    brokers: Sequence[str] = ("broker",)
    offers: Mapping[str, Any] = field(default_factory=dict)


class Busy(Protocol):
    """Traffic, as far as faults look at it."""

    @property
    def tried(self) -> int:
        """How many requests and messages were begun."""
        ...

    @property
    def acknowledged(self) -> int:
        """How many requests were acknowledged."""
        ...


class Stack:
    """The company, from ``start`` to ``stop``. A fault may do to it what it likes, and heals it."""

    traffic: Busy | None = None

    def __init__(self, ground: Ground, folder: Path, standins: StandIns) -> None:
        """Make its topics, tables and secrets; nothing of it runs yet."""
        self.ground = ground
        self.folder = folder
        self.desk = standins.desk
        self.settings = _settings(ground.settings, folder, standins.url)
        _fresh_tables(self.settings)
        self.company = Company(self.settings, folder)
        self.supervisor = self.company.supervisor
        self._over = threading.Event()
        self._holders = [threading.Thread(target=self._hold, name="holder")]

    @property
    def ledger(self) -> Ledger:
        """The company's ledger, opened for looking."""
        return self.company.ledger

    @property
    def brokers(self) -> Sequence[Process]:
        """The processes of Kafka."""
        return [self.ground.supervisor.find(each) for each in self.ground.brokers]

    @property
    def kafka(self) -> Process:
        """The process of Kafka; the first of several."""
        return self.brokers[0]

    @property
    def clickhouse(self) -> Process:
        """The process of ClickHouse."""
        return self.ground.supervisor.find("clickhouse")

    @property
    def collector(self) -> Process:
        """The collector's process."""
        return self.supervisor.find("collector")

    @property
    def keys(self) -> Process:
        """The key server's process."""
        return self.supervisor.find("keys")

    @property
    def workers(self) -> Sequence[Process]:
        """The workers' processes, by what they are called in WORKERS."""
        return [self.supervisor.find(each) for each in WORKERS]

    @property
    def processes(self) -> Sequence[Process]:
        """All of the company's own."""
        return [self.collector, self.keys, *self.workers]

    def worker(self, name: str) -> Process:
        """Return the process of a worker of WORKERS, not yet started."""
        words = [word for part in WORKERS[name] for word in ("--only", part)]
        return self.company.process(name, "worker", *words)

    def start(self) -> None:
        """Start all, and wait until it is healthy."""
        self.company.collect()
        self.company.serve_keys()
        for each in WORKERS:
            self.supervisor.run(self.worker(each))
        for thread in self._holders:
            thread.start()
        self.wait_healthy()

    def stop(self) -> None:
        """Stop all of the company."""
        self._over.set()
        for each in self._holders:
            if each.ident is not None:
                each.join()
        self.company.stop()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.stop()

    def wait_healthy(self, seconds: float = HEALTHY_SECONDS) -> None:
        """Wait until every process runs and every engine answers. Raise ChaosError."""
        wait(lambda: not self.ill(), lambda: f"all to be healthy: {', '.join(self.ill())}", seconds)

    def ill(self) -> list[str]:
        """Return the names of what does not run or answer."""
        found = [
            each.name
            for each in (*self.brokers, self.clickhouse, *self.processes)
            if not (each.alive() and all(map(listening, each.ports)))
        ]
        if "collector" not in found and not self._is_ready():
            found.append("the collector's /readyz")
        if "clickhouse" not in found and not self._answers():
            found.append("ClickHouse's answers")
        return found

    def meet(self, count: int = 3, seconds: float = 15.0) -> None:
        """Wait until traffic has tried ``count`` more times: so it has met what is broken now."""
        if self.traffic is not None:
            traffic, before = self.traffic, self.traffic.tried
            wait(lambda: traffic.tried >= before + count, "traffic to meet the fault", seconds)

    def flow(self, count: int = 3, seconds: float = HEALTHY_SECONDS) -> None:
        """Wait until ``count`` more requests are acknowledged: so all is well for traffic."""
        if self.traffic is not None:
            traffic, before = self.traffic, self.traffic.acknowledged
            wait(lambda: traffic.acknowledged >= before + count, "traffic to flow", seconds)

    @property
    def places(self) -> Places:
        """What looks at where readers are."""
        kafka = self.settings.kafka
        return Places(kafka.bootstrap, kafka.options, f"{kafka.prefix}status")

    def behind(self) -> dict[str, int]:
        """Return how many messages each reader has not read, where there are any."""
        kafka = self.settings.kafka
        both = (*readers(self.company.policy.holders), ("lethe", "dead-letters"))
        return {
            f"{reader} of {topic}": end - done
            for (reader, topic), (end, done) in come_to(self.places, kafka.prefix, both).items()
            if end > done and reader not in NOT_RUN
        }

    @contextmanager
    def house(self) -> Iterator[Client]:
        """Ask ClickHouse as admin."""
        with connect(self.settings.clickhouse, "admin", self.settings.secrets) as client:
            yield client

    def _is_ready(self) -> bool:
        url = f"http://127.0.0.1:{self.settings.collector.port}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _answers(self) -> bool:
        try:
            with self.house() as client:
                return bool(client.query("SELECT 1"))
        except ClickHouseDownError:
            return False

    def _hold(self) -> None:
        """Have the CRM erase what it is told to, whatever becomes of the broker meanwhile."""
        kafka, crm = self.settings.kafka, self.company.crm
        with RetentionWorker(
            kafka.bootstrap, "crm", prefix=kafka.prefix, retry_seconds=0.2
        ) as worker:
            while not self._over.wait(0.1):
                with suppress(KafkaError, ReceiptFailedError):
                    worker.turn(crm.erase)


# The policy of the stand-ins has no profiles.
NOT_RUN = frozenset({"profiles"})


def _settings(engines: Settings, folder: Path, url: str) -> Settings:
    """Return the settings of a company of its own, whose days are closed at once."""
    kafka = engines.kafka.model_copy(update={"prefix": f"c{token_hex(4)}."})
    own = {
        "kafka": kafka,
        "data_dir": folder / "data",
        "statistics": Statistics(grace_minutes=0, settle_seconds=2),
    }
    there = with_standins(engines.model_copy(update=own), url)
    made = of_company(there, folder, POLICY)
    put_credentials(made.secrets)
    for each in engines.secrets.iterdir():
        if each.is_file():
            shutil.copy(each, made.secrets)
    return made


def _fresh_tables(settings: Settings) -> None:
    """Make the database anew: users' grants name it, so that all slices share it."""
    name = settings.clickhouse.database
    with connect(settings.clickhouse, "admin", settings.secrets) as admin:
        admin.create_database()
        admin.execute(f"DROP DATABASE {name} SYNC")
        list(Migrations(admin, facts_hours=settings.statistics.facts_hours).apply())
