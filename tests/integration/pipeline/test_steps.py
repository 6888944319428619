"""SIGKILL at each step of an event, in the worker's own lanes on a real broker (S1, S4).

Every event is in the facts once, and no message of it was loaded twice; every message that breaks
the contract is a dead letter, and nothing else is. For Apache Kafka alone: groups of the embedded
broker may wait for ever for a member that was killed.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import Producer

from schemas.codec import decode, encode
from sinks.kafka import SAFE
from streams import shared
from tests.chaos.report import TIMES
from tests.integration.killing import Kill, Point, killing

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.clickhouse,
    pytest.mark.chaos,
    pytest.mark.usefixtures("no_merges"),
]

VISITS = 40  # before each kill
PARTITIONS = 4

POINTS = {
    "anonymise": [
        Point("sinks.kafka:BatchProducer.stored", "before"),  # part of it may be on its topic
        Point("sinks.kafka:BatchProducer.stored"),  # all is, and the batch not committed
    ],
    "load": [
        Point("sinks.clickhouse.facts:FactsWriter.write", "before"),  # announced
        Point("sinks.clickhouse.facts:FactsWriter.write"),  # ClickHouse knows, and Kafka does not
        Point("sinks.kafka:BatchProducer.stored", "before"),  # dead letters may be on their topic
        Point("sinks.kafka:BatchProducer.stored"),  # they are, and the range is not committed
        Point("streams.lanes.load:LoadLane._commit", "after", 2),
    ],
}


class Sent:
    """What a site sent, and the rubbish that somebody put on the topics that lanes read."""

    def __init__(self, pipeline: Any) -> None:
        kafka = pipeline.settings.kafka
        self._topic_of = pipeline.settings.topic
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap, **SAFE})
        self.events: list[str] = []
        self.rubbish: set[str] = set()  # where it lies

    def more(self) -> None:
        """Send visits, and rubbish into each partition."""
        for _ in range(VISITS):
            self.events.append(str(UUID(int=len(self.events))))
            self._producer.produce(self._topic_of("tracking-events"), visit(self.events[-1]))
        for topic in ("tracking-events", "tracking-anonymised"):
            for partition in range(PARTITIONS):
                self._producer.produce(
                    self._topic_of(topic), b"junk", partition=partition, on_delivery=self._lies
                )
        assert not self._producer.flush(30)

    def _lies(self, error: Any, message: Any) -> None:
        assert error is None
        self.rubbish.add(f"{message.topic()}:{message.partition()}:{message.offset()}")


def visit(event_id: str) -> bytes:
    at = shared.now()
    return encode(
        "tracking_event",
        {
            "event_id": event_id,
            "occurred_at": at,
            "received_at": at,
            "site": "shop.example",
            "type": "page_view",
            "page": "https://shop.example/tea",
            "ip": "192.0.2.0",
            "cookie_id": event_id,
            "location_consent": False,
        },
    )


@pytest.fixture
def kill(pipeline: Any) -> Iterator[Kill]:
    with killing(pipeline.settings) as ready:
        yield ready


@pytest.mark.parametrize("loop", POINTS)
def test_a_kill_at_any_step_of_an_event_costs_nothing(
    pipeline: Any,
    kill: Kill,
    read_topic: Callable[[str, str], list[Any]],
    chaos_report: Callable[[str, int, int], None],
    loop: str,
) -> None:
    def read(topic: str, record: str) -> Iterator[dict[str, Any]]:
        settings = pipeline.settings
        for each in read_topic(settings.kafka.bootstrap, settings.topic(topic)):
            if each.value != b"junk":
                yield decode(record, each.value)

    def refused() -> set[str]:
        return {each["id"] for each in read("dead-letters", "dead_letter")}

    sent = Sent(pipeline)
    with pipeline.running(*POINTS.keys() - {loop}):
        for _ in range(TIMES):
            for point in POINTS[loop]:
                sent.more()
                assert kill(loop, point) == -9, point
        with pipeline.running(loop):
            pipeline.until(lambda: pipeline.facts() >= len(sent.events), "all facts")
            pipeline.until(lambda: refused() >= sent.rubbish, "all dead letters")

    def rows(final: str) -> dict[str, int]:
        query = f"SELECT toString(event_id), count() FROM facts{final} GROUP BY event_id"
        return dict(pipeline.query(query))

    assert rows(" FINAL") == dict.fromkeys(sent.events, 1)
    loadable = Counter(e["event_id"] for e in read("tracking-anonymised", "anonymised_event"))
    assert not {name: n for name, n in rows("").items() if n > loadable[name]}, "loaded twice"
    assert refused() == sent.rubbish
    in_flight = len(sent.events) + len(sent.rubbish)
    chaos_report("killed at a step of an event", TIMES * len(POINTS[loop]), in_flight)
