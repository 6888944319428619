"""Two thousand bad inputs for a company that runs: each refused with its reason, nothing lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lethe.standins.server import in_thread
from streams.settings import Geo
from tests.chaos.report import SEED, Row
from tests.chaos.stack import Ground
from tests.fuzz.__main__ import FAULT, slices
from tests.fuzz.company import running

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

COUNT = 2_000


def test_bad_input_is_refused_with_its_reason_and_nothing_good_is_lost(
    engines: Any,
    sample_cities: Path,
    tmp_path: Path,
    chaos_report: Callable[[str, int, int], None],
) -> None:
    settings = engines.settings.model_copy(update={"geo": Geo(cache=sample_cities)})
    ground = Ground(settings, engines.supervisor, ())
    told: list[str] = []
    with in_thread() as standins, running(ground, tmp_path, standins) as stack:
        (row,) = slices(stack, SEED, 0, COUNT, COUNT, told.append)
    assert isinstance(row, Row)
    assert not row.violations, "\n".join(told)
    assert row.in_flight > 20
    chaos_report(FAULT, COUNT, row.in_flight)
