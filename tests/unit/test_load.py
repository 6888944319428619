"""What the load run counts and judges: it must be able to find something."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from bench.load import company, soak
from bench.load.company import Company, LoadError, Phase
from bench.load.sender import BATCH, event_id

MB = 1_000_000
RUN = 7


def slice_of(rss: Callable[[float], float], behind: Callable[[float], int]) -> dict[str, Any]:
    """Make an hour, looked at each ten seconds; times are shares of the hour."""
    looks = [
        {"at": at, "rss": {"worker": rss(at / 3600), "Kafka": at * MB}, "behind": behind(at / 3600)}
        for at in range(0, 3600, 10)
    ]
    return {"minutes": 60.0, "rate": 100.0, "looks": looks}


def test_growth_is_told_and_what_a_beginning_needs_is_none() -> None:
    flat = slice_of(lambda at: 200 * MB if at > 0.1 else 2000 * MB * at, lambda _: 0)
    assert soak.wrong(flat) == []
    assert soak.growth(soak.judged(flat), "worker") == pytest.approx(0, abs=0.1)
    growing = slice_of(lambda at: (200 + 12 * at) * MB, lambda _: 0)
    assert soak.growth(soak.judged(growing), "worker") == pytest.approx(6, abs=0.2)
    assert soak.wrong(growing) == ["worker"]


def test_lanes_that_fall_behind_are_told() -> None:
    behind = slice_of(lambda _: 200 * MB, lambda at: int(1000 * at))
    assert soak.wrong(behind) == ["lag"]
    busy = slice_of(lambda _: 200 * MB, lambda at: 500 if int(at * 100) % 2 else 0)
    assert soak.wrong(busy) == []


def test_a_slice_that_broke_off_is_done_again(tmp_path: Path) -> None:
    file = tmp_path / "soak.jsonl"
    assert soak.read(file) == []
    file.write_text(json.dumps({"minutes": 5}) + '\n{"minutes": 5, "loo')
    assert soak.read(file) == [{"minutes": 5}]
    assert soak.left(file, 12) == 7
    assert soak.left(file, 5) == 0


def test_a_picture_is_as_high_as_its_values() -> None:
    assert soak.picture([0, 50, 100]) == "▁▅█"
    assert soak.picture([0, 0]) == "▁▁"
    assert len(soak.picture(range(1000))) == soak.WIDTH


class House:
    """ClickHouse with the events of one phase."""

    def __init__(self, rows: list[tuple[str, int]]) -> None:
        self._rows = rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def query(self, _: str, parameters: dict[str, str]) -> list[tuple[str, int]]:
        return [row for row in self._rows if row[0].startswith(parameters["mark"])]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows, None),
        (lambda rows: rows[1:], "1 acknowledged events of 100 are lost"),
        (lambda rows: [(rows[0][0], 2), *rows[1:]], "1 events are stored twice"),
        (lambda _: [(event_id(RUN, 2, each), 1) for each in range(100)], "100 acknowledged"),
    ],
    ids=["all is there", "one is lost", "one is doubled", "another phase's"],
)
def test_what_is_lost_or_doubled_is_told(
    monkeypatch: pytest.MonkeyPatch, change: Callable[..., Any], told: str | None
) -> None:
    rows = change([(event_id(RUN, 1, each), 1) for each in range(2 * BATCH)])
    # Of a batch that was not acknowledged nobody is owed anything.
    rows.append((event_id(RUN, 1, 5 * BATCH), 1))
    monkeypatch.setattr(company, "connect", lambda *_: House(rows))
    pipeline = Company.__new__(Company)
    pipeline.run, pipeline._processes = RUN, {}
    pipeline.settings = company.Settings()
    phase = Phase(1, 1.0, {"202": 2, "ServerDisconnectedError": 1}, [0, 1], (0.0, 0.0))
    if told is None:
        assert pipeline.require_kept(phase) == 1
        return
    with pytest.raises(LoadError, match=told):
        pipeline.require_kept(phase)
