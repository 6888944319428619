"""A producer says what the broker did not store; a lane commits on nothing else."""

import pytest

from sinks.kafka import BatchProducer, NotStoredError

NOBODY = "127.0.0.1:1"
SOON = {"message.timeout.ms": "300", "linger.ms": "0", "log_level": "0"}


def test_what_the_broker_does_not_store_is_noticed() -> None:
    """The message is given up: nothing waits any more, and still it is not stored."""
    producer = BatchProducer(NOBODY, SOON)
    producer.send("topic", [b"letter"])
    with pytest.raises(NotStoredError):
        producer.stored()
    with pytest.raises(NotStoredError):
        producer.stored()


def test_what_is_not_stored_yet_is_not_taken_for_stored() -> None:
    producer = BatchProducer(NOBODY, SOON)
    producer.send("topic", [b"letter"])
    with pytest.raises(NotStoredError):
        producer.stored(0.01)
