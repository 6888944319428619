"""The whole pipeline as processes of its own, on engines that run."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import randbits
from typing import Any

import numpy as np

from bench.events import SITES
from bench.load.sender import BATCH, event_id
from bench.load.watch import Lag, Watch, engines
from lethe.local.process import Process, choose_port, stop_together
from lethe.local.stack import prepare
from lethe.standins.account import POLICY, SITE, put_credentials, with_standins
from lethe.standins.server import in_thread
from sinks.clickhouse.connect import connect
from streams.parts import PARTS
from streams.policy import load as load_policy
from streams.settings import Collector, Keys, Settings, Site

PATIENCE = 300.0
EVENTS = ("anonymise", "anonymise-raw", "load", "close", "agents")  # parts of the first worker
REST = tuple(each for each in PARTS if each not in EVENTS)
UNLIMITED = 1_000_000.0


class LoadError(RuntimeError):
    """Raised when a run shows what must not be; says what."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What was sent and what became of it: batches by outcome, and those that were acknowledged.

    ``late`` is in seconds, half and 99 of 100 of what was acknowledged.
    """

    number: int
    took: float
    outcomes: Mapping[str, int]
    taken: Sequence[int]
    late: tuple[float, float]

    @property
    def acknowledged(self) -> int:
        """Return how many events were acknowledged."""
        return len(self.taken) * BATCH


class Company:
    """Collector, key server and two workers: one for events, one for all else.

    The policy is the stand-ins', who take the place of every ad provider.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.run = randbits(32)
        self._processes: dict[str, Process] = {}
        self._phases = 0
        self._epoch = 0
        prepare(settings, lambda _: None, load_policy(POLICY))
        self.lag = Lag(settings)

    def start(self, rate: float = UNLIMITED) -> None:
        """Start all, and wait until they work. ``rate``: of events that the collector takes."""
        self.collect(rate)
        self._start("key server", self.settings.keys.port, "keys", "serve")
        for name, parts in (("worker, events", EVENTS), ("worker, the rest", REST)):
            self._start(name, 0, "worker", *(word for part in parts for word in ("--only", part)))
        self._epoch = self._consent()
        self.send(1.0, BATCH)
        self.drain()

    def collect(self, rate: float) -> None:
        """Start the collector, anew if it runs."""
        if "collector" in self._processes:
            self._processes.pop("collector").stop()
        collector = Collector(port=choose_port(0), rate=rate, burst=max(int(rate), 1_000))
        self.settings = self.settings.model_copy(update={"collector": collector})
        self._start("collector", collector.port, "collect")

    def send(self, seconds: float, rate: float = 0.0) -> Phase:
        """Send events of the site, at a rate or as they are answered."""
        self._phases += 1
        options = {
            "url": self._url, "key": self._key, "run": self.run, "phase": self._phases,
            "epoch": self._epoch, "rate": rate, "seconds": seconds,
        }  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "bench.load.sender", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout)
        late = np.percentile(found["seconds"] or [0.0], [50, 99]).tolist()
        return Phase(
            self._phases, found["took"], Counter(found["outcomes"]), found["taken"], tuple(late)
        )

    def drain(self) -> float:
        """Wait until nothing is left to be read; return the seconds that took."""
        began = time.monotonic()
        while any(self.lag.now().values()):
            self._require_alive()
            if time.monotonic() - began > PATIENCE:
                raise LoadError(f"after {PATIENCE:g} s there is still a lag: {self.lag.now()}")
            time.sleep(0.1)
        return time.monotonic() - began

    def watch(self, every: float = 1.0, parent: int | None = None) -> Watch:
        """Look at all processes, and at broker and ClickHouse, which ``parent`` runs, or ours."""
        others = engines(parent or os.getppid())
        return Watch(
            self.lag,
            lambda: {**{name: each.pid for name, each in self._processes.items()}, **others},
            every,
        )

    def require_kept(self, *phases: Phase) -> int:
        """Return how many are stored of what was not acknowledged.

        Raise LoadError when an acknowledged event is missing, or one is there twice.
        """
        self._require_alive()
        unasked = 0
        with connect(self.settings.clickhouse, "admin", self.settings.secrets) as house:
            for phase in phases:
                mark = event_id(self.run, phase.number, 0)[:13]
                rows = house.query(
                    "SELECT event_id, count() FROM facts WHERE startsWith(event_id, %(mark)s)"
                    " GROUP BY event_id",
                    {"mark": mark},
                )
                if twice := sum(times > 1 for _, times in rows):
                    raise LoadError(f"{twice} events are stored twice")
                stored = {int(each[-12:], 16) for each, _ in rows}
                taken = {b * BATCH + each for b in phase.taken for each in range(BATCH)}
                if lost := len(taken - stored):
                    raise LoadError(f"{lost} acknowledged events of {len(taken)} are lost")
                unasked += len(stored - taken)
        return unasked

    def stop(self) -> None:
        """Stop all."""
        self.lag.close()
        stop_together(list(self._processes.values()))

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.settings.collector.port}"

    @property
    def _key(self) -> str:
        return self.settings.sites[SITE].keys[0]

    def _start(self, name: str, port: int, *words: str) -> None:
        process = Process(
            name,
            [sys.executable, "-m", "lethe", *words],
            self.settings.data_dir / "logs" / f"{name}.log",
            [port] if port else [],
            self.settings.environment(),
        )
        process.start()
        self._processes[name] = process

    def _consent(self) -> int:
        """Have a visitor agree, and return the epoch."""
        change = {
            "cookie_id": "agreed", "purpose": "ads", "decision": "given", "how": "banner",
            "notice_id": "banner", "notice_version": "1",
        }  # fmt: skip
        request = urllib.request.Request(
            f"{self._url}/v1/consent",
            json.dumps(change).encode(),
            {"X-Lethe-Key": self._key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(json.load(answer)["epochs"]["ads"])

    def _require_alive(self) -> None:
        for name, each in self._processes.items():
            if not each.alive():
                last = each.log.read_text().splitlines()[-5:]  # the folder is gone afterwards
                raise LoadError("\n".join((f"{name} ended:", *last)))


@contextmanager
def company(settings: Settings) -> Iterator[Company]:
    """Make a company of a measure's topics and folder, and stop it at the end."""
    with in_thread() as standins:
        sites = {each: Site(keys=(f"bench-{each}",)) for each in SITES} | settings.sites
        own: dict[str, Any] = {
            "keys": Keys(port=choose_port(0)), "metrics_port": 0, "sites": sites,
        }  # fmt: skip
        made = Company(with_standins(settings.model_copy(update=own), standins.url))
        put_credentials(made.settings.secrets)
        try:
            yield made
        finally:
            made.stop()
