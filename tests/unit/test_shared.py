"""What the loops of a worker share is opened once, whichever of them asks first."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import pytest

from streams import shared
from streams.settings import load

LOOPS = 8


@pytest.mark.parametrize(("made_by", "what"), [("open_ledger", "ledger"), ("Consents", "consents")])
def test_loops_that_ask_at_once_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_by: str, what: str
) -> None:
    """Several copies of all consents would be hundreds of megabytes each."""
    at_once = Barrier(LOOPS)

    def opened(*_: object) -> SimpleNamespace:
        time.sleep(0.05)  # as it does take its time
        return SimpleNamespace()

    monkeypatch.setattr(shared, made_by, opened)
    of_a_worker = shared.Shared(load(engines=False, data_dir=tmp_path))

    def ask(_: int) -> object:
        at_once.wait(10)
        return getattr(of_a_worker, what)

    with ThreadPoolExecutor(LOOPS) as pool:
        found = list(pool.map(ask, range(LOOPS)))
    assert len({*map(id, found)}) == 1
