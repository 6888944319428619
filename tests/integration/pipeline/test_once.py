"""Exactly once: the load lane against a crash at each point of its recipe."""

import threading
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from schemas.codec import encode
from sinks.clickhouse.facts import FactsWriter
from sinks.kafka import BatchProducer, consumer
from streams import shared
from streams.lanes.load import LoadLane

pytestmark = [
    pytest.mark.broker,
    pytest.mark.clickhouse,
    pytest.mark.usefixtures("no_merges"),
]

EVENTS = 400


class CrashError(Exception):
    """The process is gone."""


class Crashing:
    """Passes inserts on; dies at the n-th, before or after it."""

    def __init__(self, facts: FactsWriter, *, at: int, after: bool, forged: str) -> None:
        self.facts = facts
        self.at = at
        self.after = after
        self.forged = forged
        self.tokens: list[str] = []

    def write(self, columns: Mapping[str, pa.Array], token: str) -> None:
        self.tokens.append(token)
        dies = len(self.tokens) == self.at
        if dies and not self.after:
            raise CrashError
        self.facts.write(columns, self.forged + token)
        if dies:
            raise CrashError


def publish(pipeline: Any) -> None:
    producer = BatchProducer(pipeline.settings.kafka.bootstrap, {})
    producer.send(
        pipeline.settings.topic("tracking-anonymised"),
        [
            encode(
                "anonymised_event",
                {
                    "event_id": str(UUID(int=i)),
                    "occurred_at": shared.now() - i * 3_600_000,
                    "site": "shop.example",
                    "type": "page_view",
                    "visitor": i,
                },
            )
            for i in range(EVENTS)
        ],
    )
    producer.stored()


def run(
    pipeline: Any, *, at: int = 0, after: bool = False, batch: int = 30, forged: str = ""
) -> list[str]:
    """Run the lane until it dies or nothing is left; return the tokens it was given.

    A partition has some hundred events, more than a ``batch`` unless the test says otherwise.
    """
    settings = pipeline.settings
    stop = threading.Event()
    writer = FactsWriter(shared.clickhouse(settings, "writer"))
    facts = Crashing(writer, at=at, after=after, forged=forged)
    lane = LoadLane(
        settings.topic("tracking-anonymised"),
        settings.topic("dead-letters"),
        consumer(settings.kafka.bootstrap, settings.kafka.prefix + "load", {}),
        BatchProducer(settings.kafka.bootstrap, {}),
        facts,
        batch=batch,
        wait=0.2,
    )
    failures: list[BaseException] = []

    def work() -> None:
        try:
            lane.run(stop)
        except CrashError as crash:
            failures.append(crash)

    thread = threading.Thread(target=work)
    thread.start()
    pipeline.until(
        lambda: not thread.is_alive() or (not at and pipeline.facts() >= EVENTS), "the lane"
    )
    stop.set()
    thread.join()
    assert bool(failures) is bool(at)
    return facts.tokens


@pytest.mark.parametrize("after", [False, True], ids=["before-insert", "after-insert"])
def test_a_range_that_was_announced_is_inserted_once(pipeline: Any, *, after: bool) -> None:
    publish(pipeline)
    (*_, announced) = run(pipeline, at=2, after=after)
    # The next start reads in other portions, and must cut the same range all the same.
    assert announced in run(pipeline, batch=1000)
    assert pipeline.query("SELECT count(), uniqExact(event_id) FROM facts") == [(EVENTS, EVENTS)]


def test_without_the_token_a_range_would_be_doubled(pipeline: Any) -> None:
    """The test above can fail: it is the token that keeps the second insert out."""
    publish(pipeline)
    run(pipeline, at=2, after=True)
    run(pipeline, batch=1000, forged="another:")
    ((count, distinct),) = pipeline.query("SELECT count(), uniqExact(event_id) FROM facts")
    assert distinct == EVENTS < count
    assert pipeline.facts() == EVENTS, "and FINAL still counts each event once"
