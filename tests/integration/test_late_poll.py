"""A reader that did something else for long: others read meanwhile, and it goes on afterwards."""

import pytest
from confluent_kafka.admin import AdminClient

from sinks.kafka import BatchProducer, commit, consumer, poll
from sinks.kafka_admin import create_topics
from streams.settings import Settings
from tests.waiting import until

pytestmark = [pytest.mark.kafka]

TOPIC = "tracking-events"
LONGEST_MS = "6000"  # between two polls; the broker allows no session that is shorter


def test_who_polls_too_late_joins_again_and_reads_what_it_has_not_committed(
    settings: Settings,
) -> None:
    """As a lane does that waited for its ledger (``streams.lanes.ledgered``)."""
    kafka = settings.kafka
    create_topics(kafka.bootstrap, kafka.options, kafka.prefix)
    topic, group = settings.topic(TOPIC), f"{kafka.prefix}late"
    producer = BatchProducer(kafka.bootstrap, kafka.options)
    producer.send(topic, [b"one", b"two"], [b"", b""])
    producer.stored()
    options = {"session.timeout.ms": LONGEST_MS, "max.poll.interval.ms": LONGEST_MS}
    source = consumer(kafka.bootstrap, group, {**kafka.options, **options})
    source.subscribe([topic])
    first = until(lambda: poll(source, 1, 0.1), "a message")
    asked = AdminClient({"bootstrap.servers": kafka.bootstrap, **kafka.options})

    def nobody_is_left() -> bool:
        (found,) = asked.describe_consumer_groups([group]).values()
        return not found.result(10).members

    until(nobody_is_left, "the group to be left")
    assert not commit(source, first)  # others may have read it by now
    again = [each.value() for each in until(lambda: poll(source, 1, 0.1), "a message")]
    source.close()
    assert again == [first[0].value()]
