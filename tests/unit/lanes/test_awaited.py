"""Nothing is committed whose dead letters and results the broker has not stored.

A lane that commits first loses them if it dies then, and nobody ever knows what was refused.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from privacy.outcome import Reason, Reject
from schemas.codec import decode
from sinks.kafka import NotStoredError
from sinks.ledger.ledger import Ledger
from sinks.ledger.outbox import Message
from streams.lanes.anonymise import AnonymiseLane, Outputs
from streams.lanes.brake import Brake
from streams.lanes.ledgered import LedgeredLane, Outcome
from streams.lanes.load import LoadLane
from streams.lanes.reader import Reader
from streams.lanes.rejects import dead_letter
from streams.lanes.route import RouteLane
from streams.lanes.steps import SHORTENED

IN, LETTERS = "in", "dead-letters"
Make = Callable[[Any, Any], Any]


class Failing:
    """A producer whose broker stores nothing."""

    def send(self, *_: object) -> None:
        pass

    def stored(self) -> None:
        raise NotStoredError


@pytest.fixture
def lanes(rules: Any, tmp_path: Path) -> dict[str, Make]:
    """Make lanes from topic ``in``, by name, of a consumer and a producer."""

    def load(consumer: Any, producer: Any) -> LoadLane:
        return LoadLane(IN, LETTERS, consumer, producer, SimpleNamespace(), batch=9, wait=0)

    def anonymise(consumer: Any, producer: Any) -> AnonymiseLane:
        consumer.subscribe([IN])
        return AnonymiseLane(
            "anonymise", SHORTENED, lambda: rules, reader=Reader(consumer, 9, 0),
            producer=producer, outputs=Outputs("out", LETTERS), brake=Brake(1.0, 9),
        )  # fmt: skip

    def route(consumer: Any, producer: Any) -> RouteLane:
        consumer.subscribe([IN])
        return RouteLane(
            SimpleNamespace(), lambda: rules, SimpleNamespace(),
            reader=Reader(consumer, 9, 0), producer=producer, topic_of=str,
        )  # type: ignore[arg-type]  # fmt: skip

    def refuse(_: object, messages: Any) -> list[Outcome]:
        reject = Reject(Reason.MALFORMED, "decode")
        return [
            Outcome([Message(LETTERS, b"", dead_letter(each, reject, "ledgered", 1))], reject)
            for each in messages
        ]

    def ledgered(consumer: Any, producer: Any) -> LedgeredLane:
        ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
        return LedgeredLane("ledgered", [IN], ledger, refuse, consumer=consumer, producer=producer)

    return {"load": load, "anonymise": anonymise, "route": route, "ledgered": ledgered}


def offset(broker: Any) -> int:
    return int(broker.committed.get((IN, 0), 0))


@pytest.mark.parametrize("name", ["load", "anonymise", "route", "ledgered"])
def test_nothing_is_committed_that_is_not_stored(
    name: str, lanes: dict[str, Make], broker: Any
) -> None:
    broker.put(IN, b"", b"rubbish")
    stop = threading.Event()
    lane = lanes[name](broker.consumer(stop.set), Failing())
    with pytest.raises(NotStoredError):
        lane.run(stop)
    assert offset(broker) == 0


@pytest.mark.parametrize("name", ["load", "anonymise", "ledgered"])
def test_the_dead_letter_lies_there_when_its_message_is_committed(
    name: str, lanes: dict[str, Make], broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.put(IN, b"", b"rubbish")
    stop = threading.Event()
    consumer = broker.consumer(stop.set)
    commit, letters = consumer.commit, []

    def seen(*_: object, **given: Any) -> None:
        commit(**given)
        if offset(broker):
            letters.extend(decode("dead_letter", each) for each in broker.values(LETTERS))

    monkeypatch.setattr(consumer, "commit", seen)
    lanes[name](consumer, broker.producer()).run(stop)
    assert offset(broker) == 1
    assert [(each["id"], each["processor"]) for each in letters] == [(f"{IN}:0:0", name)]
