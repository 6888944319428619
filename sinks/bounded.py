"""A consumer of Kafka that nobody waits for without end.

In a synchronous commit librdkafka waits for a broker that says nothing as long as it says nothing.
It has also been seen to find its group's coordinator no more while the broker answered others. No
thread can be called back from there: who asked gets an error, ends, and is started anew, which
nothing is lost by.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import structlog
from confluent_kafka import Consumer

ANSWER_SECONDS = 30.0  # as BatchProducer waits for what it sends to be stored

_log = structlog.get_logger()

T = TypeVar("T")


class NoAnswerError(RuntimeError):
    """Raised when the broker has not said whether it has a commit; it may have it or not."""


class BoundedConsumer(Consumer):  # type: ignore[misc]  # confluent_kafka is not typed
    """A consumer whose ``commit`` and ``close`` come back, whatever the broker does."""

    _in_use = False

    def commit(self, *args: Any, **options: Any) -> Any:
        """Commit as ``Consumer`` does. Raise NoAnswerError, or KafkaException as it does."""
        try:
            return _within(ANSWER_SECONDS, partial(super().commit, *args, **options))
        except TimeoutError:
            self._in_use = True
            raise NoAnswerError(f"no answer to a commit in {ANSWER_SECONDS:g} s") from None

    def close(self) -> None:
        """Leave the group and let go, unless a commit waits: then it stays until the process ends.

        librdkafka would wait for it too, and must not be taken from under a thread that is in it.
        """
        if self._in_use:
            _log.warning("consumer_not_closed")
        else:
            super().close()


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return what ``work`` does; raise TimeoutError when it is not done, and leave it behind.

    What is left behind is a thread that no end of the process waits for.
    """
    done = Future[T]()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="bounded", daemon=True).start()
    return done.result(seconds)
