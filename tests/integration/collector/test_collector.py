"""``lethe collect`` as a process, on a broker."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import noida_db
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from lethe.local.process import choose_port
from schemas.codec import decode
from schemas.registry import topics
from streams.settings import Settings
from tests.waiting import until

pytestmark = pytest.mark.broker

ReadTopic = Callable[[str, str], list[Any]]

TOPIC = "tracking-events"
HEADERS = {"X-Lethe-Key": "demo-shop-key", "Content-Type": "application/json"}


@contextmanager
def collecting(
    bootstrap: str, data_dir: Path, prefix: str = "", **settings: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run ``lethe collect`` on a free port; yield the process and the port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lethe", "collect", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "LETHE_KAFKA__BOOTSTRAP": bootstrap,
            "LETHE_KAFKA__PREFIX": prefix,
            "LETHE_DATA_DIR": str(data_dir),
            **settings,
        },
    )
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert line.startswith("Collector: http://127.0.0.1:"), line
        yield process, int(line.rsplit(":", 1)[1])
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def send(port: int, event: object, **headers: str) -> tuple[int, dict[str, object]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/v1/events", json.dumps(event), {**HEADERS, **named})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_what_is_acknowledged_is_on_the_broker_without_a_full_address(
    settings: Settings, read_topic: ReadTopic
) -> None:
    bootstrap, topic = settings.kafka.bootstrap, settings.topic(TOPIC)
    with collecting(
        bootstrap, settings.data_dir, settings.kafka.prefix, LETHE_COLLECTOR__TRUSTED_HOPS="1"
    ) as (process, port):
        status, answer = send(
            port, [{"type": "click", "cookie_id": "c-1"}] * 20, X_Forwarded_For="192.0.2.77"
        )
        assert status == 202
        status, _ = send(port, {"type": "click"}, X_Forwarded_For="2001:db8:1:2::77")
        assert status == 202
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=30)
        assert process.returncode == 0
    values = [found.value for found in read_topic(bootstrap, topic)]
    events = [decode("tracking_event", value) for value in values]
    assert [event["event_id"] for event in events if event["cookie_id"]] == answer["event_ids"]
    assert {event["ip"] for event in events} == {"192.0.2.0", "2001:db8:1::"}
    assert not any(b"192.0.2.77" in value or b"1:2::77" in value for value in values)
    assert "192.0.2.77" not in log
    assert "127.0.0.1" not in log.replace('"host": "127.0.0.1"', "")
    assert [json.loads(line)["event"] for line in log.splitlines()] == [
        "listens",
        "stops",
    ]


def test_a_stop_answers_what_is_on_its_way(settings: Settings, read_topic: ReadTopic) -> None:
    """SIGTERM in the middle of traffic: what is stored was answered, the rest is not stored."""
    bootstrap, prefix = settings.kafka.bootstrap, settings.kafka.prefix
    with collecting(bootstrap, settings.data_dir, prefix) as (process, port):
        answers: list[int] = []
        stop = threading.Event()

        def traffic() -> None:
            while not stop.is_set():
                try:
                    answers.append(send(port, {"type": "click"})[0])
                except OSError:
                    return  # not let in any more

        threads = [threading.Thread(target=traffic) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 20)
        process.terminate()
        assert process.wait(30) == 0
        stop.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {202}
    assert len(read_topic(bootstrap, settings.topic(TOPIC))) == len(answers)


@dataclass
class OwnBroker:
    """An embedded broker of this test's own, which it may freeze."""

    bootstrap: str
    process: subprocess.Popen[bytes]


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[OwnBroker]:
    port = choose_port(0)
    # The command is a wrapper: signals to it do not reach the broker.
    binary = Path(noida_db.__file__).with_name("noida-db")
    data = str(tmp_path / "broker")
    process = subprocess.Popen(
        [binary, "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", data],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    partitions = topics()[TOPIC].partitions
    admin.create_topics([NewTopic(TOPIC, partitions, 1)])[TOPIC].result(60)
    yield OwnBroker(f"127.0.0.1:{port}", process)
    process.kill()
    process.wait()


def test_nothing_is_acknowledged_while_the_broker_does_not_answer(
    own_broker: OwnBroker, tmp_path: Path, read_topic: ReadTopic
) -> None:
    """Frozen in the middle of traffic: 503 until it is back, and every 202 is on the broker."""
    acknowledged: list[str] = []
    statuses: list[int] = []
    stop = threading.Event()
    with collecting(
        own_broker.bootstrap, tmp_path, LETHE_COLLECTOR__RATE="1e9", LETHE_COLLECTOR__BURST="10000"
    ) as (_, port):

        def traffic() -> None:
            while not stop.is_set():
                status, answer = send(port, [{"type": "click", "cookie_id": "c-1"}] * 5)
                acknowledged.extend(answer.get("event_ids", []))  # type: ignore[arg-type]
                statuses.append(status)

        threads = [threading.Thread(target=traffic) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: len(statuses) > 100)
            own_broker.process.send_signal(signal.SIGSTOP)
            until(lambda: 503 in statuses)
            own_broker.process.send_signal(signal.SIGCONT)
            before = len(acknowledged)
            until(lambda: len(acknowledged) > before + 100)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert set(statuses) == {202, 503}
    stored = {
        decode("tracking_event", found.value)["event_id"]
        for found in read_topic(own_broker.bootstrap, TOPIC)
    }
    assert set(acknowledged) <= stored
