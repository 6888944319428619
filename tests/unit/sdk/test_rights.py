"""A holder's worker for people's rights, without a broker or a key server (S17 to S19, S21)."""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pytest
from kafka import TopicPartition

import lethe.holding
import lethe.rights
from lethe import Correction, Export, Handlers, Hold, HoldKind, Outcome, RightsWorker
from lethe.case_keys import KeysUnavailableError
from schemas.codec import decode, encode
from sinks.keys.demands import open_held, seal_told

NOW = 1_795_000_000_000
KEY = bytes(range(32))
TOLD = {"city": "Bruges", "statement": "I moved."}


class Message(NamedTuple):
    offset: int
    value: bytes
    partition: int = 0


class Kafka:
    """Three topics of one partition, their one reader, and what comes of it."""

    def __init__(self) -> None:
        self.logs: dict[TopicPartition, list[Message]] = {}
        self.at: dict[TopicPartition, int] = {}
        self.commits: dict[TopicPartition, int] = {}
        self.sent: list[dict[str, Any]] = []

    def __call__(self, **options: Any) -> "Kafka":
        assert options.get("group_id", "t.rights-crm") == "t.rights-crm"
        return self

    def subscribe(self, topics: list[str], listener: Any) -> None:
        del listener
        assert topics == ["t.corrections", "t.holds", "t.exports"]
        self.logs = {TopicPartition(each, 0): [] for each in topics}
        self.at = dict.fromkeys(self.logs, 0)

    def put(self, record: str, demand_id: str, case_id: str, **more: Any) -> None:
        value = {
            "demand_id": demand_id, "request_id": "r", "case_id": case_id, "service": "samples",
            "holders": ["crm"], "requested_at": NOW, "deadline": NOW + 1, **more,
        }  # fmt: skip
        log = self.logs[TopicPartition(f"t.{record}s", 0)]
        log.append(Message(len(log), encode(record, value)))

    def correct(self, demand_id: str, case_id: str, told: Mapping[str, str] = TOLD) -> None:
        sealed = seal_told(KEY, demand_id, told)
        self.put("correction", demand_id, case_id, key_version=1, sealed=sealed)

    def assignment(self) -> set[TopicPartition]:
        return set(self.logs)

    def position(self, place: TopicPartition) -> int:
        return self.at[place]

    def pause(self, *_: TopicPartition) -> None: ...

    def resume(self, *_: TopicPartition) -> None: ...

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, list[Message]]:
        del timeout_ms, max_records
        found = {place: log[self.at[place] :] for place, log in self.logs.items()}
        self.at = {place: len(log) for place, log in self.logs.items()}
        return {place: some for place, some in found.items() if some}

    def commit(self, offsets: Mapping[TopicPartition, Any]) -> None:
        self.commits = {place: each.offset for place, each in offsets.items()}

    def send(self, topic: str, value: bytes, key: bytes) -> "Kafka":
        assert topic == "t.deletion-receipts-crm"
        receipt = decode("deletion_receipt", value)
        assert key.decode() == receipt["case_id"]
        self.sent.append(receipt)
        return self

    def get(self, timeout: float) -> None: ...

    def close(self, **_: Any) -> None: ...

    def outcomes(self) -> list[tuple[str, str]]:
        return [(each["deletion_id"], each["outcome"]) for each in self.sent]


class Keys:
    """A key server that has a key to all but ``gone``, or is ``away``."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.away = False
        self.asked: list[list[str]] = []

    def __call__(self, *_: Any, **__: Any) -> "Keys":
        return self

    def of(self, ids: Iterable[str]) -> Mapping[str, bytes]:
        self.asked.append(list(ids))
        if self.away:
            raise KeysUnavailableError("away")
        return {each: KEY for each in self.asked[-1] if each not in self.gone}

    def clear(self) -> None: ...


class Holder:
    """Remembers what it was asked; fails for the cases in ``failing``."""

    def __init__(self) -> None:
        self.asked: list[Correction | Hold | Export] = []
        self.failing: set[str] = set()
        self.held: Mapping[str, Any] | None = {"city": "Ghent"}

    def _did(self, what: Correction | Hold | Export) -> Outcome:
        self.asked.append(what)
        if what.case_id in self.failing:
            raise OSError("ann@example.com cannot be reached")
        return Outcome.DONE

    def export(self, export: Export) -> Mapping[str, Any] | None:
        self._did(export)
        return self.held

    @property
    def handlers(self) -> Handlers:
        return Handlers(correct=self._did, hold=self._did, export=self.export)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    made = Kafka()
    monkeypatch.setattr(lethe.holding, "KafkaConsumer", made)
    monkeypatch.setattr(lethe.holding, "KafkaProducer", made)
    return made


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    made = Keys()
    monkeypatch.setattr(lethe.rights, "CaseKeys", made)
    return made


@pytest.fixture
def worker(kafka: Kafka, keys: Keys) -> RightsWorker:
    del kafka, keys
    return RightsWorker(
        "broker.example:9092", "crm", keys_url="https://keys.example", token="secret",
        prefix="t.", now=lambda: NOW, retry_seconds=0,
    )  # fmt: skip


def test_each_handler_is_given_what_it_is_for(
    kafka: Kafka, keys: Keys, worker: RightsWorker
) -> None:
    kafka.correct("d-1", "a")
    kafka.put("hold", "d-2", "a", kind="restriction")
    kafka.put("hold", "d-3", "a", kind="lifting")
    kafka.put("export", "d-4", "a")
    kafka.put("export", "d-5", "a", holders=["mail"])
    holder = Holder()
    assert worker.turn(holder.handlers) == 4
    correction, hold, lifting, export = holder.asked
    assert isinstance(correction, Correction)
    assert (correction.fields, correction.statement) == ({"city": "Bruges"}, "I moved.")
    assert "Bruges" not in repr(correction) + repr(kafka.sent)
    assert isinstance(hold, Hold)
    assert isinstance(lifting, Hold)
    assert (hold.kind, lifting.kind) == (HoldKind.RESTRICTION, HoldKind.LIFTING)
    assert isinstance(export, Export)
    assert kafka.outcomes() == [(f"d-{each}", "done") for each in range(1, 5)]
    assert open_held(KEY, "d-4", kafka.sent[-1]["content"]) == {"city": "Ghent"}
    assert keys.asked == [["d-1", "d-4"]]  # at once; holds need none
    assert set(kafka.commits.values()) == {1, 2}


def test_nothing_held_is_said_without_a_content(kafka: Kafka, worker: RightsWorker) -> None:
    kafka.put("export", "d-1", "a")
    holder = Holder()
    holder.held = None
    worker.turn(holder.handlers)
    assert kafka.outcomes() == [("d-1", "nothing_held")]
    assert kafka.sent[0]["content"] is None


def test_what_one_case_is_asked_is_done_in_order_and_holds_up_no_other(
    kafka: Kafka, worker: RightsWorker, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.put("hold", "d-1", "bad", kind="restriction")
    kafka.put("hold", "d-2", "bad", kind="lifting")
    kafka.put("hold", "d-3", "good", kind="restriction")
    holder = Holder()
    holder.failing = {"bad"}
    with caplog.at_level(logging.ERROR):
        assert worker.turn(holder.handlers) == 1
    assert kafka.outcomes() == [("d-1", "failed"), ("d-3", "done")]
    assert "OSError" in caplog.text
    assert "ann" not in caplog.text
    holder.failing.clear()
    assert worker.turn(holder.handlers) == 2
    assert kafka.outcomes()[2:] == [("d-1", "done"), ("d-2", "done")]


def test_without_the_key_server_holds_go_on_and_the_rest_comes_again(
    kafka: Kafka, keys: Keys, worker: RightsWorker
) -> None:
    kafka.correct("d-1", "a")
    kafka.put("hold", "d-2", "a", kind="restriction")
    keys.away = True
    holder = Holder()
    assert worker.turn(holder.handlers) == 1
    assert kafka.outcomes() == [("d-1", "failed"), ("d-2", "done")]
    keys.away = False
    assert worker.turn(holder.handlers) == 1
    assert kafka.outcomes()[-1] == ("d-1", "done")


def test_a_demand_that_is_over_is_passed_over(
    kafka: Kafka, keys: Keys, worker: RightsWorker, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.correct("d-1", "a")
    keys.gone = {"d-1"}
    holder = Holder()
    with caplog.at_level(logging.ERROR):
        worker.turn(holder.handlers)
    assert not holder.asked
    assert not kafka.sent
    assert kafka.commits[TopicPartition("t.corrections", 0)] == 1
    assert "d-1" in caplog.text


def test_what_was_sealed_for_another_demand_is_not_done(kafka: Kafka, worker: RightsWorker) -> None:
    sealed = seal_told(KEY, "d-other", TOLD)
    kafka.put("correction", "d-1", "a", key_version=1, sealed=sealed)
    holder = Holder()
    worker.turn(holder.handlers)
    assert not holder.asked
    assert kafka.outcomes() == [("d-1", "failed")]


def test_what_fits_no_message_is_reported_as_failed(
    kafka: Kafka, worker: RightsWorker, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.put("export", "d-1", "a")
    holder = Holder()
    holder.held = {"notes": "x" * lethe.rights.MOST_CONTENT}
    assert len(json.dumps(holder.held)) > lethe.rights.MOST_CONTENT
    with caplog.at_level(logging.ERROR):
        worker.turn(holder.handlers)
    assert kafka.outcomes() == [("d-1", "failed")]
    assert "ExportTooLargeError" in caplog.text
