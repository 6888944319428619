"""A pipeline for a test: lanes and closer in threads, on real engines, with made-up places."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from sinks.clickhouse.client import ClickHouseDownError
from sinks.clickhouse.statistics import Statistics
from sinks.kafka import consumer
from streams import shared, wiring
from streams.lanes.raw import RawTopic
from streams.settings import Settings, Site
from streams.settings import Statistics as Rules
from tests.waiting import PATIENCE, until


class Pipeline:
    """Runs parts of the worker and asks ClickHouse what came of it."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self.environment = environment
        self.admin = shared.clickhouse(settings, "admin")

    @contextmanager
    def running(self, *parts: str) -> Iterator[None]:
        """Run loops in threads; a loop's failure fails the test."""
        stop = threading.Event()
        failures: list[BaseException] = []

        def run(name: str) -> None:
            try:
                wiring.LOOPS[name](shared.Shared(self.settings), stop)
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)

        threads = [threading.Thread(target=run, args=(part,), name=part) for part in parts]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
        if failures:
            raise failures[0]

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """Ask ClickHouse as admin."""
        return self.admin.query(statement, parameters)

    until = staticmethod(until)

    def answers(self) -> bool:
        """Tell whether ClickHouse is there."""
        try:
            return bool(self.query("SELECT 1"))
        except ClickHouseDownError:
            return False

    def delete_raw(self) -> None:
        """Delete everything on the raw topic, as its lane does once a second behind its commit."""
        kafka, topic = self.settings.kafka, self.settings.topic("tracking-events-raw")
        client = consumer(kafka.bootstrap, "deleter", {})
        parts = [TopicPartition(topic, each) for each in range(4)]
        ends = [
            TopicPartition(topic, each.partition, client.get_watermark_offsets(each)[1])
            for each in parts
        ]
        client.close()
        RawTopic(AdminClient({"bootstrap.servers": kafka.bootstrap})).delete(ends)

    def facts(self) -> int:
        """Return how many events are loaded, each counted once."""
        return int(self.query("SELECT count() FROM facts FINAL")[0][0])

    def close_all(self, statistics: Statistics) -> None:
        """Close every day that has facts; they settle within two seconds of ClickHouse's clock."""
        days = {
            tuple(row) for row in self.query("SELECT DISTINCT site, toDate(occurred_at) FROM facts")
        }
        closed: set[Any] = set()

        def done() -> bool:
            closed.update(statistics.close_ready(shared.now()))
            return closed >= days

        until(done, "all days to be closed")

    def load(self, count: int, *parts: str) -> None:
        """Run the lanes until ``count`` facts are there."""
        with self.running(*(parts or ("anonymise", "load"))):
            until(lambda: self.facts() >= count, f"{count} facts")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Two sites, and no waiting to close a day."""
    shop = Site(keys=("shop-key",), origins=("https://shop.example",))
    www = Site(keys=("www-key",), search_terms=True, query_parameters=("q",))
    return settings.model_copy(
        update={
            "sites": {"shop.example": shop, "www.example": www},
            "statistics": Rules(settle_seconds=0, grace_minutes=0),
        }
    )


@pytest.fixture
def pipeline(settings: Settings, environment: dict[str, str], database: None) -> Pipeline:
    """Make a pipeline on this test's own topics and fresh tables."""
    assert database is None
    return Pipeline(settings, environment)


@pytest.fixture
def no_merges(pipeline: Any) -> Iterator[None]:
    """Stop merges, which would hide what is doubled."""
    pipeline.admin.execute("SYSTEM STOP MERGES facts")
    yield
    pipeline.admin.execute("SYSTEM START MERGES facts")
