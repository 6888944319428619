"""When a worker is ready: its loops go round, and what its parts need answers."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sinks.ledger.ledger import LedgerError
from streams import health
from streams.health import InTime
from streams.parts import ERASER, LEDGER, NEEDS, PARTS, WRITER, needs
from streams.run import _checks
from streams.settings import Settings, load
from streams.shared import Shared

POLICY = Path(__file__).parents[2] / "deploy/policy/reference.toml"


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.run.answers", lambda *_: True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/clickhouse-writer").write_text("word")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # and free again
    clickhouse: Any = {"host": "127.0.0.1", "port": port}
    return load(engines=False, data_dir=tmp_path, policy=POLICY, clickhouse=clickhouse)


def ready(shared: Shared, *parts: str) -> Mapping[str, bool]:
    checks = _checks(shared, [], needs(shared, parts))
    return {name: check() for name, check in checks.items() if name not in {"loops", "broker"}}


def test_each_part_says_what_it_needs_besides_the_broker() -> None:
    """A new part has to be put on one side or the other."""
    nothing = {"anonymise", "anonymise-raw", "gauges", "security", "route"}
    assert NEEDS.keys() | nothing == {*PARTS}
    assert not NEEDS.keys() & nothing


def test_only_parts_that_have_something_to_do_need_anything(settings: Settings) -> None:
    shared, bare = Shared(settings), Shared(settings.model_copy(update={"policy": None}))
    assert needs(shared, PARTS) == {LEDGER, WRITER, ERASER}
    assert needs(bare, PARTS) == {WRITER}
    assert needs(shared, ["deliver"]) == needs(shared, ["consent"]) == {LEDGER}
    assert needs(bare, ["deliver"]) == needs(shared, ["anonymise", "route"]) == set()


def test_without_the_ledger_a_worker_that_uses_it_is_not_ready(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Shared(settings)
    assert ready(shared, "consent") == {LEDGER: True}

    @contextmanager
    def away() -> Iterator[None]:
        raise LedgerError("OperationalError")
        yield

    monkeypatch.setattr(shared.ledger, "reading", away)
    assert ready(shared, "consent") == {LEDGER: False}
    assert ready(shared, "route") == {}


def test_without_clickhouse_a_worker_that_loads_is_not_ready(settings: Settings) -> None:
    assert ready(Shared(settings), "load") == {WRITER: False}


def test_a_clickhouse_that_says_nothing_is_not_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", settings.clickhouse.port)):
        began = time.monotonic()
        assert ready(Shared(settings), "load") == {WRITER: False}
        assert time.monotonic() - began < 3


def test_what_does_not_answer_is_asked_once_at_a_time_and_again_when_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    asked: list[None] = []
    back = threading.Event()

    def ask() -> None:
        asked.append(None)
        back.wait()

    check = InTime(ask)
    assert [check() for _ in range(3)] == [False] * 3
    assert len(asked) == 1
    monkeypatch.setattr(health, "CHECK_SECONDS", 10.0)
    back.set()
    assert check()
    assert check()
    assert len(asked) in {2, 3}  # whether the first had ended when the fourth wanted to know


def test_a_check_that_fails_in_any_way_is_a_no() -> None:
    assert not InTime(lambda: 1 // 0)()
