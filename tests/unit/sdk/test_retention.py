"""A holder's worker without a broker: what it asks for, says and commits (S3, S20)."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from kafka import TopicPartition
from kafka.errors import CommitFailedError, KafkaTimeoutError

import lethe.holding
from lethe import Deletion, Outcome, ReceiptFailedError, RetentionWorker
from schemas.codec import decode, encode

NOW = 1_795_000_000_000
PLACE = TopicPartition("t.deletions", 0)


class Message(NamedTuple):
    offset: int
    value: bytes
    partition: int = 0


class Future:
    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def get(self, timeout: float) -> None:
        del timeout
        if self._error is not None:
            raise self._error


class Kafka:
    """One partition, its one reader, and what comes of it."""

    def __init__(self) -> None:
        self.log: list[Message] = []
        self.at = 0
        self.commits: list[int] = []
        self.sent: list[tuple[str, bytes, dict[str, Any]]] = []
        self.error: Exception | None = None
        self.lost = False
        self.paused = False
        self.listener: Any = None

    def __call__(self, **options: Any) -> "Kafka":
        assert options["bootstrap_servers"] == ["broker.example:9092", "other.example:9092"]
        return self

    def put(self, case_id: str, *holders: str) -> None:
        value = {
            "deletion_id": f"d-{case_id}", "case_id": case_id, "service": "samples",
            "cause": "delivered", "cause_id": "e-1", "requested_at": NOW, "deadline": NOW + 1,
            "holders": list(holders),
        }  # fmt: skip
        self.log.append(Message(len(self.log), encode("deletion", value)))

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        assert topics == [PLACE.topic]
        self.listener = listener

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}

    def position(self, _: TopicPartition) -> int:
        return self.at

    def pause(self, *_: TopicPartition) -> None:
        self.paused = True

    def resume(self, *_: TopicPartition) -> None:
        self.paused = False

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, list[Message]]:
        del timeout_ms
        found = [] if self.paused else self.log[self.at : self.at + max_records]
        self.at += len(found)
        return {PLACE: found} if found else {}

    def commit(self, offsets: Mapping[TopicPartition, Any]) -> None:
        if self.lost:
            raise CommitFailedError
        self.commits.append(offsets[PLACE].offset)

    def send(self, topic: str, value: bytes, key: bytes) -> Future:
        if self.error is None:
            self.sent.append((topic, key, decode("deletion_receipt", value)))
        return Future(self.error)

    def close(self, **_: Any) -> None:
        pass


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    made = Kafka()
    monkeypatch.setattr(lethe.holding, "KafkaConsumer", made)
    monkeypatch.setattr(lethe.holding, "KafkaProducer", made)
    return made


class Holder:
    """Fails for the cases in ``failing``, and remembers what it was asked."""

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)
        self.asked: list[str] = []

    def erase(self, deletion: Deletion) -> Outcome:
        self.asked.append(deletion.case_id)
        if deletion.case_id in self.failing:
            raise OSError("lena@example.com cannot be erased")
        return Outcome.NOTHING_HELD if deletion.case_id == "none" else Outcome.DONE


def worker(**more: Any) -> RetentionWorker:
    return RetentionWorker(
        "broker.example:9092,other.example:9092", "crm", prefix="t.", now=lambda: NOW, **more
    )


def outcomes(kafka: Kafka) -> list[tuple[str, str]]:
    return [(each["case_id"], each["outcome"]) for _, _, each in kafka.sent]


def put_all(kafka: Kafka, case_ids: Iterable[str]) -> None:
    for each in case_ids:
        kafka.put(each, "mail", "crm")


def test_a_holder_erases_what_names_it_and_says_so(kafka: Kafka) -> None:
    put_all(kafka, ["a"])
    kafka.put("b", "mail")
    put_all(kafka, ["none"])
    holder = Holder()
    with worker() as crm:
        assert crm.turn(holder.erase) == 2
    assert holder.asked == ["a", "none"]
    (topic, key, receipt), (_, _, nothing) = kafka.sent
    assert (topic, key) == ("t.deletion-receipts-crm", b"a")
    assert (receipt["deletion_id"], receipt["case_id"], receipt["holder"]) == ("d-a", "a", "crm")
    assert (receipt["outcome"], nothing["outcome"]) == ("done", "nothing_held")
    assert kafka.commits == [3]


def test_what_fails_is_tried_again_later_and_holds_up_no_other(
    kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    clock = 0.0
    put_all(kafka, ["a", "bad", "b"])
    holder = Holder("bad")
    crm = worker(steady=lambda: clock, retry_seconds=5)
    with caplog.at_level(logging.ERROR):
        assert crm.turn(holder.erase) == 2
    assert outcomes(kafka) == [("a", "done"), ("bad", "failed"), ("b", "done")]
    assert kafka.commits == [1]  # the failed one comes again after a restart
    assert "lena" not in caplog.text
    assert "OSError" in caplog.text
    for clock, tries in ((4.9, 1), (5.0, 2), (14.9, 2), (15.0, 3)):  # noqa: B007 - crm reads it
        crm.turn(holder.erase)
        assert holder.asked.count("bad") == tries
    assert outcomes(kafka).count(("bad", "failed")) == 1
    holder.failing.clear()
    clock = 1_000
    assert crm.turn(holder.erase) == 1
    assert outcomes(kafka)[-1] == ("bad", "done")
    assert kafka.commits == [1, 3]


def test_who_says_that_it_failed_is_asked_again_too(kafka: Kafka) -> None:
    put_all(kafka, ["a"])
    clock = 0.0
    crm = worker(steady=lambda: clock)
    assert crm.turn(lambda _: Outcome.FAILED) == 0
    assert crm.turn(Holder().erase) == 0
    clock = 5.0
    assert crm.turn(Holder().erase) == 1
    assert outcomes(kafka) == [("a", "failed"), ("a", "done")]


def test_without_a_receipt_it_is_not_done(kafka: Kafka) -> None:
    put_all(kafka, ["a"])
    kafka.error = KafkaTimeoutError()
    holder = Holder()
    crm = worker()
    with pytest.raises(ReceiptFailedError):
        crm.turn(holder.erase)
    assert not kafka.commits
    kafka.error = None
    assert crm.turn(holder.erase) == 1
    assert holder.asked == ["a", "a"]
    assert kafka.commits == [1]


def test_the_same_receipt_has_the_same_id(kafka: Kafka) -> None:
    put_all(kafka, ["a", "a", "none"])
    worker().turn(Holder().erase)
    ids = [receipt["receipt_id"] for _, _, receipt in kafka.sent]
    assert ids[0] == ids[1] != ids[2]


def test_what_went_to_another_is_forgotten_and_its_offset_not_committed(kafka: Kafka) -> None:
    put_all(kafka, ["bad"])
    holder = Holder("bad")
    crm = worker(retry_seconds=0)
    crm.turn(holder.erase)
    kafka.listener.on_partitions_revoked([PLACE])
    kafka.lost = True
    crm.turn(holder.erase)
    assert holder.asked == ["bad"]
    assert kafka.commits == [0]


def test_what_cannot_be_read_is_told_of_and_passed_over(
    kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.log.append(Message(0, b"lena@example.com"))
    put_all(kafka, ["a"])
    assert worker().turn(Holder().erase) == 1
    assert "partition 0, offset 0: wrong_magic" in caplog.text
    assert "lena" not in caplog.text


def test_a_holder_that_fails_at_everything_is_not_given_more_and_more(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lethe.holding, "MOST_OPEN", 2)
    put_all(kafka, "ab")
    clock = 0.0
    crm = worker(steady=lambda: clock)
    holder = Holder("a", "b")
    crm.turn(holder.erase)
    put_all(kafka, "c")
    crm.turn(holder.erase)
    assert kafka.at == 2
    clock = 1_000
    holder.failing = {"b"}
    crm.turn(holder.erase)
    crm.turn(holder.erase)
    assert kafka.at == 3
    assert outcomes(kafka)[-1] == ("c", "done")
