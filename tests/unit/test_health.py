"""What a worker answers about itself, and when a loop is taken to hang."""

import json
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

from streams import health
from streams.health import Beating
from streams.metrics import REGISTRY


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Any:
    clock = type("Clock", (), {"at": 1000.0})()
    monkeypatch.setattr(health.time, "monotonic", lambda: clock.at)
    return clock


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_loop_is_silent_since_it_last_asked_whether_to_stop(now: Any) -> None:
    event = Beating("a loop")
    now.at += 30
    assert event.silent() == 30
    assert not event.is_set()
    assert event.silent() == 0
    now.at += 200
    shown = REGISTRY.get_sample_value("lethe_loop_silent_seconds", {"part": "a loop"})
    assert shown == 200 > health.SILENT_SECONDS


def test_a_loop_that_waits_is_well(now: Any) -> None:
    event = Beating("another loop")
    thread = threading.Thread(target=event.wait)
    thread.start()
    now.at += 1_000
    while event.silent():
        assert thread.is_alive()
    event.set()
    thread.join()
    assert event.silent() == 0


def test_a_worker_answers_whether_it_is_ready_and_shows_its_metrics() -> None:
    checks = {"loops": True, "broker": True}
    port = health.serve("127.0.0.1", 0, {name: lambda n=name: checks[n] for name in checks})  # type: ignore[misc]
    url = f"http://127.0.0.1:{port}"
    assert get(f"{url}/healthz") == (200, '{"alive": true}')
    assert get(f"{url}/readyz") == (200, json.dumps(checks))
    checks["broker"] = False
    assert get(f"{url}/readyz") == (503, json.dumps(checks))
    assert get(f"{url}/healthz")[0] == 200
    status, text = get(f"{url}/metrics")
    assert status == 200
    for name in ("lethe_build_info{", "process_resident_memory_bytes", "lethe_reader_lag_messages"):
        assert name in text
    assert get(f"{url}/other")[0] == 404
