"""Everything on one machine: engines, topics, tables, keys, collector, key server and worker."""

import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.table import Table

from lethe.local.engines import Broker, Engines
from lethe.local.process import Process
from privacy.policy import Policy
from sinks.clickhouse.connect import connect
from sinks.clickhouse.migrate import Migrations
from sinks.kafka_admin import create_topics
from streams import kafka_login, policy
from streams.keys import prepare as keys
from streams.keys import tokens
from streams.settings import Settings

Tell = Callable[[str], None]


class Stack:
    """What ``lethe up`` runs, for as long as the context lasts; ``tell`` hears what goes on.

    Raise PolicyError when the settings name a policy that cannot be used.
    """

    def __init__(
        self, settings: Settings, broker: Broker, tell: Tell, *, engines_only: bool = False
    ) -> None:
        self._engines = Engines(settings, broker, tell)
        self._tell = tell
        self._engines_only = engines_only
        self._policy = None if settings.policy is None else policy.load(settings.policy)

    @property
    def settings(self) -> Settings:
        """The settings, with the addresses of what runs."""
        return self._engines.settings

    def __enter__(self) -> Self:
        self._engines.__enter__()
        try:
            prepare(self.settings, self._tell, self._policy)
            if not self._engines_only:
                self._tell("starting collector and worker")
                self._engines.run(self._part("collect", self.settings.collector.port))
                self._engines.run(self._part("worker", self.settings.metrics_port))
                if self._has_departments:
                    self._engines.run(self._part("keys", self.settings.keys.port, "serve"))
        except BaseException:
            self._engines.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engines.stop()

    def table(self) -> Table:
        """Show where everything is."""
        settings = self.settings
        house = f"http://{settings.clickhouse.host}:{settings.clickhouse.http_port}"
        rows = {"broker": settings.kafka.bootstrap}
        rows["ClickHouse"] = f"{house}/play, native port {settings.clickhouse.port}"
        rows["  user analyst"] = f"password in {settings.secrets / 'clickhouse-analyst'}"
        if not self._engines_only:
            rows["collector"] = f"http://127.0.0.1:{settings.collector.port}/v1/events"
            if self._has_departments:
                rows["key server"] = f"http://127.0.0.1:{settings.keys.port}/v1/keys"
                rows["  tokens"] = str(settings.secrets / tokens.FOLDER)
            rows["metrics"] = f"http://127.0.0.1:{settings.metrics_port}/metrics"
        rows["data and logs"] = str(settings.data_dir)
        table = Table.grid(padding=(0, 2))
        for row in rows.items():
            table.add_row(*row)
        return table

    @staticmethod
    def wait(*signals: signal.Signals) -> None:
        """Wait for one of the signals."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        signal.sigwait(signals)

    @property
    def _has_departments(self) -> bool:
        return self._policy is not None and bool(self._policy.departments)

    def _part(self, name: str, port: int, *words: str) -> Process:
        return Process(
            name,
            [sys.executable, "-m", "lethe", name, *words],
            self._engines.log(name),
            [port],
            self.settings.environment(),
        )


def prepare(settings: Settings, tell: Tell, its_policy: Policy | None) -> None:
    """Create missing topics and departments' keys, and apply pending migrations."""
    kafka = settings.kafka
    departments = () if its_policy is None else its_policy.departments
    holders = () if its_policy is None else its_policy.holders
    for drift in create_topics(
        kafka.bootstrap, kafka_login.options(settings), kafka.prefix, kafka.replication,
        departments=departments, holders=holders,
    ):  # fmt: skip
        tell(f"topic {drift.topic}: {drift.setting} is {drift.found}, should be {drift.wanted}")
    for made in keys.prepare(settings.secrets, its_policy):
        tell(f"made {settings.secrets / made}")
    with connect(settings.clickhouse, "admin", settings.secrets) as client:
        migrations = Migrations(
            client,
            facts_hours=settings.statistics.facts_hours,
            replicated=settings.clickhouse.replicated,
        )
        for migration in migrations.apply():
            tell(f"migration {migration.number:04} {migration.name}")
