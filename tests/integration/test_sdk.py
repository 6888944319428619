"""The SDK on a broker, and in an environment that has nothing else."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lethe import Publisher, PublishFailedError
from schemas.codec import decode
from sinks.publish import KafkaPublisher, Message
from streams.settings import Settings

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]


ReadTopic = Callable[[str, str], list[Any]]


def test_what_is_flushed_is_on_the_broker(settings: Settings, read_topic: ReadTopic) -> None:
    with Publisher(settings.kafka.bootstrap, "shop.example", prefix=settings.kafka.prefix) as sdk:
        receipts = [
            sdk.publish(
                {"type": "page_view", "page": f"/{number}", "cookie_id": f"c-{number % 7}"},
                address="192.0.2.77",
            )
            for number in range(500)
        ]
        receipts[0].result()
    found = read_topic(settings.kafka.bootstrap, settings.topic("tracking-events"))
    events = [decode("tracking_event", each.value) for each in found]
    assert {event["event_id"] for event in events} == {each.event_id for each in receipts}
    assert len(events) == 500
    assert {event["ip"] for event in events} == {"192.0.2.0"}
    assert not any(b"192.0.2.77" in each.value for each in found)


def test_one_visitors_events_stay_in_order(settings: Settings, read_topic: ReadTopic) -> None:
    with Publisher(settings.kafka.bootstrap, "shop.example", prefix=settings.kafka.prefix) as sdk:
        for number in range(300):
            sdk.publish({"type": "click", "name": str(number), "cookie_id": f"c-{number % 5}"})
    names: dict[bytes | None, list[int]] = {}
    for each in read_topic(settings.kafka.bootstrap, settings.topic("tracking-events")):
        names.setdefault(each.key, []).append(int(decode("tracking_event", each.value)["name"]))
    assert len(names) == 5
    assert all(order == sorted(order) for order in names.values())


def test_keys_go_where_the_other_clients_put_them(
    settings: Settings, read_topic: ReadTopic
) -> None:
    """Topics with the same keys are read partition by partition: all clients must agree."""
    bootstrap, topic = settings.kafka.bootstrap, settings.topic("tracking-events")
    with Publisher(bootstrap, "shop.example", prefix=settings.kafka.prefix) as sdk:
        for number in range(60):
            sdk.publish({"type": "click", "cookie_id": f"c-{number}"})
    other = KafkaPublisher(bootstrap, settings.kafka.options, max_pending=100, timeout=10.0)
    other.send(
        topic, [Message(f"shop.example|c-{number}".encode(), b"other") for number in range(60)]
    ).result(timeout=20)
    other.close()
    places: dict[bytes | None, set[int]] = {}
    for each in read_topic(bootstrap, topic):
        places.setdefault(each.key, set()).add(each.partition)
    assert len(places) == 60
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len({partition for partitions in places.values() for partition in partitions}) > 1


def test_raw_events_are_on_their_own_topic(settings: Settings, read_topic: ReadTopic) -> None:
    with Publisher(
        settings.kafka.bootstrap, "shop.example", prefix=settings.kafka.prefix, raw=True
    ) as sdk:
        sdk.publish({"type": "click"}, address="192.0.2.77")
    (found,) = read_topic(settings.kafka.bootstrap, settings.topic("tracking-events-raw"))
    assert decode("tracking_event", found.value)["ip"] == "192.0.2.77"
    assert read_topic(settings.kafka.bootstrap, settings.topic("tracking-events")) == []


def test_no_log_line_holds_what_is_published(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Publisher(settings.kafka.bootstrap, "shop.example", prefix=settings.kafka.prefix) as sdk:
        sdk.publish({"type": "click", "cookie_id": "c-7f3a1e"}, address="192.0.2.77")
    logged = caplog.text + "".join(str(record.args) for record in caplog.records)
    assert "c-7f3a1e" not in logged
    assert "192.0.2" not in logged


def test_a_broker_that_is_gone_is_told_in_the_time_given() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = time.monotonic()
    with pytest.raises(PublishFailedError):
        Publisher(f"127.0.0.1:{port}", "shop.example", bootstrap_timeout_ms=500)
    assert time.monotonic() - before < 10


def test_base_install_is_enough(settings: Settings, read_topic: ReadTopic, tmp_path: Path) -> None:
    """In an empty environment with the locked dependencies of the SDK and nothing else."""
    uv = [sys.executable, "-m", "uv", "--quiet"]
    python = tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def run(*command: str | Path, cwd: Path = tmp_path) -> None:
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
        assert done.returncode == 0, done.stderr

    run(*uv, "venv", "--python", sys.executable, tmp_path / "venv")
    run(
        *uv, "pip", "sync", "--python", python, "--require-hashes",
        ROOT / "deploy" / "locks" / "sdk.txt",
    )  # fmt: skip
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist")
    run(*build, cwd=ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run(*uv, "pip", "install", "--python", python, "--no-deps", wheel)
    script = (
        "from lethe import CaseReader, Publisher, RetentionWorker\n"
        f"with Publisher({settings.kafka.bootstrap!r}, 'shop.example',"
        f" prefix={settings.kafka.prefix!r}) as sdk:\n"
        "    sdk.publish({'type': 'page_view', 'page': '/'}, address='192.0.2.77')\n"
    )
    run(python, "-c", script)
    (found,) = read_topic(settings.kafka.bootstrap, settings.topic("tracking-events"))
    assert decode("tracking_event", found.value)["ip"] == "192.0.2.0"
    said = subprocess.run(
        [python, "-m", "lethe"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert said.returncode == 1
    assert "pip install '.[pipeline]'" in said.stderr
