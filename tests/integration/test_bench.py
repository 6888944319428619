"""Benches run, in their smallest: what nobody runs for months breaks meanwhile."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lethe.local import EngineError
from lethe.local.packages import broker_binary

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("bench", "measure", "scale"),
    [("deletion", "shred", 0.002), ("rights", "access", 0.002), ("load", "framed", 0.002)],
)
def test_a_bench_runs(bench: str, measure: str, scale: float, tmp_path: Path) -> None:
    try:
        broker_binary()
    except EngineError as error:
        pytest.skip(str(error))
    output = tmp_path / "results.json"
    words = ["--only", measure, "--scale", str(scale), "--broker", "embedded"]
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{bench}", *words, "--output", str(output)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(json.loads(output.read_text())["results"]) == [measure]
