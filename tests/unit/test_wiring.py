"""Loops of the data plane: by whose clock they go."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from privacy.durations import DAY_MS
from sinks.salts import Salts
from streams import wiring


def test_a_salt_is_destroyed_by_the_clock_of_clickhouse_not_by_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker a day ahead would end everybody's day, and whoever came again were somebody else."""
    salts, stop = Salts.under(tmp_path), threading.Event()
    moments = [20_000 * DAY_MS, 20_001 * DAY_MS + DAY_MS // 2]
    kept = []

    class Statistics:
        def __init__(self, *_: object) -> None:
            """Take what the real one takes."""

        def now(self) -> int:
            return moments[len(kept)]

        def close_ready(self, _: int) -> list[Any]:
            kept.append([period for period, _ in salts.kept()])
            if len(kept) == len(moments):
                stop.set()
            return []

        def reconcile(self, _: int) -> list[Any]:
            return []

    monkeypatch.setattr(wiring, "Statistics", Statistics)
    monkeypatch.setattr(wiring, "CLOSE_SECONDS", 0)
    salts.current(moments[0])
    settings = SimpleNamespace(data_dir=tmp_path, statistics=None)
    wiring.close(SimpleNamespace(settings=settings, clickhouse=lambda _: None), stop)  # type: ignore[arg-type]
    assert kept == [[20_000], []]
