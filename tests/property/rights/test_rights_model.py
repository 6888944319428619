"""Whatever people ask and whatever breaks, they have what the law gives them (S17 to S24).

LETHE_MODEL_RUNS  how many runs of STEPS steps; half in each test, so that two workers share them
LETHE_MODEL_SEED  the first seed, to see a failure again; each run has the next one
"""

import os
import secrets
from collections.abc import Iterator, Sequence

import pytest

from privacy.rights.request import Right
from tests.property.rights.model import HOUR_MS
from tests.property.rights.rules import Run
from tests.property.rights.world import Store

STEPS = 50
RUNS = int(os.environ.get("LETHE_MODEL_RUNS", "200"))
SEED = os.environ.get("LETHE_MODEL_SEED")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(tmp_path_factory.mktemp("rights"))
    yield made
    made.ledger.close()


@pytest.mark.parametrize("half", [0, 1])
def test_everything_is_as_a_small_model_has_it(store: Store, half: int) -> None:
    first = secrets.randbelow(2**32) if SEED is None else int(SEED)
    for seed in range(first + half, first + RUNS, 2):
        run = Run(store, seed)
        try:
            wrong = next(filter(None, (run.step() for _ in range(STEPS))), ()) or run.end()
        except Exception as error:
            error.add_note(_said(seed, run, ()))
            raise
        assert not wrong, _said(seed, run, wrong)


@pytest.mark.parametrize("then", [Right.ERASURE, Right.RESTRICTION])
def test_what_is_asked_after_an_erasure_outlasts_its_end(store: Store, then: Right) -> None:
    """A few hours later, of the same visitor: what seeds come to rarely."""
    run = Run(store, 0)
    for right, hours in ((Right.ERASURE, 10), (then, 16), (None, 16)):
        if right is not None:
            run.ask_of_visitor(right)
        run.world.drain()
        assert not run.comparer.differences()
        run.world.now += hours * HOUR_MS
    assert not run.end()


def _said(seed: int, run: Run, wrong: Sequence[str]) -> str:
    """Return how to see it again, what happened and what is wrong."""
    return "\n".join([f"LETHE_MODEL_SEED={seed} LETHE_MODEL_RUNS=1", *run.told, "wrong:", *wrong])
