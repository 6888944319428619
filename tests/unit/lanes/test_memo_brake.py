import numpy as np
import pyarrow as pa
import pytest

from streams.lanes.brake import Brake, TooManyRejectsError
from streams.lanes.memo import Memo


def test_a_text_is_computed_once_and_nulls_get_the_absent_result() -> None:
    asked: list[str] = []

    def lengths(texts: list[str]) -> list[int]:
        asked.extend(texts)
        return [len(text) for text in texts]

    memo = Memo(lengths, absent=-1)
    for _ in range(2):
        places, results = memo(pa.array(["a", "bb", None, "a"]))
        assert np.array(results)[places].tolist() == [1, 2, -1, 1]
    assert asked == ["a", "bb"]


def test_a_full_memory_is_emptied_and_stays_right() -> None:
    memo = Memo(lambda texts: [text.upper() for text in texts], absent="", limit=3)
    for batch in (["a", "b"], ["c", "d"], ["a", "e", "f", "g"]):
        places, results = memo(pa.array(batch))
        assert np.array(results)[places].tolist() == [text.upper() for text in batch]


def test_the_brake_lets_some_rejects_pass_and_stops_at_too_many() -> None:
    brake = Brake(0.5, 100)
    for _ in range(10):
        brake.judge(50, 20)
    with pytest.raises(TooManyRejectsError):
        brake.judge(100, 100)


def test_the_brake_waits_for_a_full_window() -> None:
    Brake(0.5, 100).judge(99, 99)
