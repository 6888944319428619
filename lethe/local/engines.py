"""Start the engines that the settings give no address for, and tell the others where they are."""

import json
import os
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from lethe.local import EngineError, brokers, clickhouse, packages
from lethe.local.process import Process, Supervisor, choose_port
from sinks.clickhouse.client import Client
from streams.settings import ENGINES, Settings

Broker = Literal["embedded", "kafka"]


class Engines:
    """Engines of one data folder, for as long as the context lasts.

    ``settings`` then has their addresses, as every ``lethe`` command of this folder does. An
    address that is in the settings already is used as it is, and nothing is started in its place.
    Only one process may hold a data folder: a second raises EngineError. ``usual_ports=False``
    takes any free ones, for several at a time.
    """

    def __init__(
        self,
        settings: Settings,
        broker: Broker = "embedded",
        tell: Callable[[str], None] = lambda _: None,
        *,
        usual_ports: bool = True,
    ) -> None:
        self.settings = settings
        self._usual_ports = usual_ports
        self._broker = broker
        self._tell = tell
        self._lock: IO[str] | None = None
        self._sweeper: clickhouse.Sweeper | None = None
        self.supervisor = Supervisor(lambda process: tell(f"{process.name} was restarted"))

    def __enter__(self) -> Self:
        self._lock = hold(self.settings.data_dir)
        self.supervisor.start()
        try:
            self._start(self.supervisor)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop everything, and take back what others were told."""
        if self._sweeper:
            self._sweeper.stop()
        self.supervisor.stop()
        (self.settings.data_dir / ENGINES).unlink(missing_ok=True)
        if self._lock:
            self._lock.close()

    def run(self, process: Process) -> None:
        """Run one more process beside the engines."""
        self.supervisor.run(process)

    def log(self, name: str) -> Path:
        """Return where a process of this folder logs to."""
        return self.settings.data_dir / "logs" / f"{name}.log"

    def _start(self, supervisor: Supervisor) -> None:
        given, folder = self.settings, self.settings.data_dir
        found: dict[str, Any] = {}
        if "bootstrap" not in given.kafka.model_fields_set:
            port = self._port(9092)
            found["kafka"] = {"bootstrap": f"127.0.0.1:{port}"}
            self._tell("starting the broker")
            supervisor.run(self._make_broker(folder / self._broker, port))
        if "port" not in given.clickhouse.model_fields_set:
            port, http_port = self._port(9000), self._port(8123)
            found["clickhouse"] = {"host": "127.0.0.1", "port": port, "http_port": http_port}
            library = packages.clickhouse_library(self._tell)
            self._tell("starting ClickHouse")
            supervisor.run(
                clickhouse.server(
                    library,
                    folder / "clickhouse",
                    self.log("clickhouse"),
                    secrets_dir=given.secrets,
                    ports=(port, http_port),
                    database=given.clickhouse.database,
                )
            )
            password = clickhouse.passwords(given.secrets)["admin"]
            self._sweeper = clickhouse.Sweeper(
                Client("127.0.0.1", port, "system", "admin", password, patience=0)
            )
        if "port" not in given.collector.model_fields_set:
            found["collector"] = {"port": self._port(given.collector.port)}
        if "port" not in given.keys.model_fields_set:
            found["keys"] = {"port": self._port(given.keys.port)}
        found["metrics_port"] = self._port(given.metrics_port)
        write(folder / ENGINES, found)
        self.settings = given.model_copy(
            update={
                name: getattr(given, name).model_copy(update=value)
                if isinstance(value, dict)
                else value
                for name, value in found.items()
            }
        )

    def _port(self, usual: int) -> int:
        return choose_port(usual if self._usual_ports else 0)

    def _make_broker(self, folder: Path, port: int) -> Process:
        if self._broker == "kafka":
            return brokers.kafka(packages.kafka_jars(self._tell), folder, self.log("broker"), port)
        return brokers.embedded(packages.broker_binary(), folder, self.log("broker"), port)


def hold(folder: Path) -> IO[str]:
    """Claim a data folder until the returned file is closed, or the process ends.

    Addresses that a killed process left behind are removed. Raises EngineError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except OSError:
        lock.close()
        raise EngineError(f"lethe runs in {folder} already; stop it first") from None
    (folder / ENGINES).unlink(missing_ok=True)
    return lock


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace a file at once, so that a reader sees the old one or the new one."""
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(content, indent=2))
    draft.replace(path)
