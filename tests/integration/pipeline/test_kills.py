"""SIGKILL at random changes no count: worker, loader and ClickHouse, on a stream of events."""

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lethe.local.engines import Engines
from lethe.local.process import Process, Supervisor
from lethe.traffic import Traffic
from privacy.pseudonym import Salt
from privacy.tracking import enter
from schemas.codec import encode
from sinks.geo.sample import SAMPLE_CITIES
from sinks.kafka import BatchProducer
from streams import shared

pytestmark = [
    pytest.mark.broker,
    pytest.mark.clickhouse,
    pytest.mark.skipif(
        os.environ.get("LETHE_TEST_BROKER", "embedded") == "embedded",
        reason="the embedded broker's groups may wait for ever for a member that was killed",
    ),
]

EVENTS = 12_000
JUNK = 40
KILLS = 12
SEED = 20_261_124


def worker(pipeline: Any, folder: Path, name: str, *parts: str) -> Process:
    """Describe a worker process that runs some parts."""
    only = [word for part in parts for word in ("--only", part)]
    return Process(
        name,
        [sys.executable, "-m", "lethe", "worker", *only],
        folder / f"{name}.log",
        environment=pipeline.environment | {"LETHE_METRICS_PORT": "0"},
    )


def stream(pipeline: Any, kept: list[dict[str, Any]]) -> None:
    """Publish made-up traffic in slices, junk in between, for as long as the kills last."""
    now = shared.now()
    made = Traffic(
        SEED, ["shop.example", "www.example"], SAMPLE_CITIES,
        start=now - 20 * 3_600_000, end=now, events=EVENTS,
    )  # fmt: skip
    producer = BatchProducer(pipeline.settings.kafka.bootstrap, {})
    salt = Salt(b"s" * 32)
    slices: list[list[bytes]] = [[]]
    for number, hit in enumerate(made):
        if hit.junk:
            continue
        record = enter(
            hit.event, site=hit.site, address=None, user_agent=None, received_at=now,
            event_id=str(UUID(int=number)), salt=salt,
        )  # fmt: skip
        kept.append(record)
        slices[-1].append(encode("tracking_event", record))
        if len(slices[-1]) == EVENTS // JUNK:
            slices[-1].append(b"junk")
            slices.append([])
    for values in slices:
        producer.send(pipeline.settings.topic("tracking-events"), values)
        producer.stored()
        time.sleep(1.2)  # a stream, not a heap: so that a kill finds work under way


def test_kills_change_no_count(pipeline: Any, engines: Engines, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    kept: list[dict[str, Any]] = []
    publishing = threading.Thread(target=stream, args=(pipeline, kept))
    supervisor = Supervisor()
    supervisor.start()
    supervisor.run(worker(pipeline, tmp_path, "worker", "anonymise", "agents", "close"))
    supervisor.run(worker(pipeline, tmp_path, "loader", "load"))
    publishing.start()
    try:
        killed: Counter[str] = Counter()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.5, 4.0))
            victim = chance.choice(["worker", "loader", "clickhouse"])
            killed[victim] += 1
            house = engines.supervisor if victim == "clickhouse" else supervisor
            process = house.find(victim)
            pipeline.until(process.alive, f"{victim} to be back")
            os.kill(process.pid, signal.SIGKILL)
        publishing.join()
        assert killed.total() == KILLS
        assert len(killed) == 3, "each kind was killed"
        pipeline.until(lambda: pipeline.answers() and pipeline.facts() >= len(kept), "all facts")
        junk = "SELECT count() FROM rejects FINAL"
        pipeline.until(lambda: pipeline.query(junk)[0][0] >= len(kept) // 300, "all rejects")
    finally:
        publishing.join()
        supervisor.stop()
    assert supervisor.find("worker").restarts >= killed["worker"] > 0
    rows = pipeline.query("SELECT toString(event_id), site, visitor FROM facts FINAL")
    assert Counter((i, s, v) for i, s, v in rows) == Counter(
        (each["event_id"], each["site"], each["visitor"]) for each in kept
    )
    reasons = pipeline.query("SELECT reason, count() FROM rejects FINAL GROUP BY reason")
    assert [reason for reason, _ in reasons] == ["wrong_magic"]
