"""A consumer of Kafka that nobody waits for without end.

In a synchronous commit librdkafka waits for a broker that says nothing as long as it says nothing.
It has also been seen to find its group's coordinator no more while the broker answered others. No
thread can be called back from there: who asked gets an error, ends, and is started anew, which
nothing is lost by.
"""

from functools import partial
from typing import Any

import structlog
from confluent_kafka import Consumer

from sinks.threads import begin

ANSWER_SECONDS = 30.0  # as BatchProducer waits for what it sends to be stored

_log = structlog.get_logger()


class NoAnswerError(RuntimeError):
    """Raised when the broker has not said whether it has a commit; it may have it or not."""


class BoundedConsumer(Consumer):  # type: ignore[misc]  # confluent_kafka is not typed
    """A consumer whose ``commit`` and ``close`` come back, whatever the broker does."""

    _in_use = False

    def commit(self, *args: Any, **options: Any) -> Any:
        """Commit as ``Consumer`` does. Raise NoAnswerError, or KafkaException as it does."""
        answer = begin(partial(super().commit, *args, **options), "commit")
        try:
            return answer.result(ANSWER_SECONDS)
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
