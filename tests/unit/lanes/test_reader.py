import threading
from collections.abc import Callable, Sequence

import pytest

from streams.lanes.reader import Reader


class Message:
    def error(self) -> None:
        return None


class Consumer:
    """Hands batches over, then tells the lane to stop."""

    def __init__(self, batches: Sequence[list[Message]], stop: threading.Event) -> None:
        self._batches = iter(batches)
        self._stop = stop
        self.asked: list[tuple[int, float]] = []
        self.closed = 0

    def consume(self, most: int, seconds: float) -> list[Message]:
        self.asked.append((most, seconds))
        batch = next(self._batches, None)
        if batch is None:
            self._stop.set()
        return batch or []

    def close(self) -> None:
        self.closed += 1


ONE, TWO = [Message()], [Message(), Message()]


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def consumer(stop: threading.Event) -> Consumer:
    return Consumer([ONE, [], TWO], stop)


def test_every_batch_is_taken_once_it_is_ready(consumer: Consumer, stop: threading.Event) -> None:
    done: list[object] = []
    ready: Callable[[threading.Event], bool] = lambda told: done.append(told) is None  # noqa: E731
    Reader(consumer, 500, 0.1, ready).run(done.append, stop)
    assert done == [stop, ONE, stop, TWO], "asked after each batch was read, before it is taken"
    assert set(consumer.asked) == {(500, 0.1)}
    assert consumer.closed == 1


def test_what_never_was_ready_is_not_taken(consumer: Consumer, stop: threading.Event) -> None:
    taken: list[object] = []
    Reader(consumer, 500, 0.1, lambda _: False).run(taken.append, stop)
    assert not taken
    assert consumer.closed == 1


def test_what_cannot_be_taken_ends_the_reading(consumer: Consumer, stop: threading.Event) -> None:
    def fail(_: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Reader(consumer, 500, 0.1).run(fail, stop)
    assert len(consumer.asked) == 1
    assert consumer.closed == 1
