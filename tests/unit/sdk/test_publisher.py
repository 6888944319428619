"""What the SDK lets out, without a broker."""

import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError
from kafka.future import Future

import lethe.publisher
from lethe import InvalidEventError, Publisher, PublishFailedError
from privacy.consent import epoch_of
from privacy.pseudonym import Salt, visitor_hash
from schemas.codec import decode

NOW = 1_792_665_000_000  # 2026-10-22T10:30:00Z
ID = "00000000-0000-4000-8000-000000000001"
PAGE = {"type": "page_view", "page": "/"}


class Pending(Future):  # type: ignore[misc]
    """Stands in for kafka-python's future of one message."""

    def get(self, timeout: float) -> object:
        """Return or raise what came of it."""
        if not self.is_done:
            raise KafkaTimeoutError(f"waited {timeout} s for 192.0.2.7")
        if self.exception is not None:
            raise self.exception
        return self.value


class Producer:
    """Stands in for kafka-python's producer and keeps what it is given."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.sent: list[tuple[str, bytes, bytes | None]] = []
        self.futures: list[Pending] = []
        self.closed = False

    def send(self, topic: str, value: bytes, key: bytes | None) -> Pending:
        """Keep a message."""
        self.sent.append((topic, value, key))
        self.futures.append(Pending())
        return self.futures[-1]

    def flush(self, timeout: float) -> None:
        """Give up when something is pending."""
        if not all(future.is_done for future in self.futures):
            raise KafkaTimeoutError(f"waited {timeout} s")

    def close(self, timeout: float) -> None:
        """Note that it was closed."""
        del timeout
        self.closed = True

    @property
    def record(self) -> dict[str, Any]:
        """The last message's record."""
        return decode("tracking_event", self.sent[-1][1])


class Placing(Producer):
    """A producer whose broker answers at once; ``offset`` is where it puts every message."""

    offset = 41

    def send(self, topic: str, value: bytes, key: bytes | None) -> Pending:
        """Keep a message and say where."""
        pending = super().send(topic, value, key)
        pending.success(SimpleNamespace(offset=self.offset))
        return pending


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lethe.publisher, "KafkaProducer", Producer)


def make(**options: Any) -> tuple[Publisher, Producer]:
    publisher = Publisher(
        "b1.example:9092,b2.example:9092",
        "shop.example",
        clock=lambda: NOW,
        ids=lambda: ID,
        **options,
    )
    producer = publisher._producer
    assert isinstance(producer, Producer)
    return publisher, producer


def test_event_is_published_with_site_time_id_and_key() -> None:
    publisher, producer = make(prefix="test.")
    receipt = publisher.publish(PAGE | {"cookie_id": "c-1"})
    topic, _, key = producer.sent[0]
    assert (topic, key, receipt.event_id) == ("test.tracking-events", b"shop.example|c-1", ID)
    record = producer.record
    assert (record["site"], record["event_id"]) == ("shop.example", ID)
    assert record["received_at"] == record["occurred_at"] == datetime.fromtimestamp(NOW / 1000, UTC)


def test_without_a_cookie_there_is_no_key() -> None:
    publisher, producer = make()
    publisher.publish(PAGE)
    assert producer.sent[0][2] is None


@pytest.mark.parametrize(
    ("event", "address", "kept"),
    [
        (PAGE, "192.0.2.7", "192.0.2.0"),
        (PAGE, "2001:db8:1:2::7", "2001:db8:1::"),
        (PAGE | {"ip": "198.51.100.9"}, "192.0.2.7", "198.51.100.0"),
        (PAGE, "nonsense", None),
        (PAGE, None, None),
    ],
)
def test_address_leaves_the_process_shortened(
    event: dict[str, Any], address: str | None, kept: str | None
) -> None:
    publisher, producer = make()
    publisher.publish(event, address=address)
    assert producer.record["ip"] == kept
    assert producer.record["visitor"] is None
    assert (address or "none").encode() not in producer.sent[0][1]


def test_with_a_salt_visitors_are_told_apart_by_the_full_address() -> None:
    salt = Salt(b"s" * 32)
    publisher, producer = make(salt=lambda: salt)
    publisher.publish(PAGE, address="192.0.2.7", user_agent="Browser/1.0")
    assert producer.record["visitor"] == visitor_hash(
        salt, "shop.example", NOW // 86_400_000, None, "Browser/1.0", "192.0.2.7"
    )


def test_raw_hands_over_the_full_address_on_its_own_topic_alone() -> None:
    publisher, producer = make(raw=True, salt=lambda: Salt(b"s" * 32))
    publisher.publish(PAGE, address="192.0.2.7")
    assert producer.sent[0][0] == "tracking-events-raw"
    assert (producer.record["ip"], producer.record["visitor"]) == ("192.0.2.7", None)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("event", "field"),
    [
        (PAGE | {"user_id": "jane"}, "user_id"),
        (PAGE | {"page": "p" * 2_049}, "page"),
        ({"page": "/"}, "type"),
        (PAGE | {"cookie_id": "jane doe"}, "cookie_id"),
        (PAGE | {"ad_ids": {"gclid": "jane"}}, "ad_ids"),
        (PAGE | {"ip": "jane" * 100}, "ip"),
        (PAGE | {"occurred_at": NOW + 86_400_000}, "occurred_at"),
        (["jane"], "event"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_field_without_the_value(
    event: Any, field: str, *, raw: bool
) -> None:
    publisher, producer = make(raw=raw)
    with pytest.raises(InvalidEventError) as refused:
        publisher.publish(event)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert field in str(refused.value)
    assert "jane" not in str(refused.value)
    assert not producer.sent


@pytest.mark.parametrize("raw", [False, True])
def test_absurd_address_is_refused_before_it_is_sent(*, raw: bool) -> None:
    publisher, producer = make(raw=raw)
    with pytest.raises(InvalidEventError):
        publisher.publish(PAGE, address="1" * 1_000_000)
    assert not producer.sent


def test_receipt_waits_for_the_broker() -> None:
    publisher, producer = make()
    receipt = publisher.publish(PAGE)
    with pytest.raises(PublishFailedError, match="KafkaTimeoutError") as failed:
        receipt.result(timeout=0)
    assert "192.0.2.7" not in str(failed.value)
    producer.futures[0].success("stored")
    receipt.result(timeout=0)


def test_flush_tells_what_nobody_waited_for() -> None:
    publisher, producer = make()
    for _ in range(3):
        publisher.publish(PAGE)
    producer.futures[0].success("stored")
    for future in producer.futures[1:]:
        future.failure(KafkaTimeoutError())
    with pytest.raises(PublishFailedError, match="2 events were not stored"):
        publisher.flush()
    publisher.flush()  # told once


def test_leaving_the_block_flushes() -> None:
    publisher, producer = make()
    with pytest.raises(PublishFailedError), publisher:
        publisher.publish(PAGE)
    assert producer.closed


def test_an_exception_in_the_block_is_not_hidden_by_the_brokers() -> None:
    publisher, producer = make()
    publisher.publish(PAGE)
    with pytest.raises(ZeroDivisionError), publisher:
        raise ZeroDivisionError
    assert producer.closed


def test_acknowledgement_is_not_for_choice() -> None:
    _, producer = make(acks=0, enable_idempotence=False, linger_ms=50)
    assert producer.options["acks"] == "all"
    assert producer.options["enable_idempotence"] is True
    assert producer.options["linger_ms"] == 50
    assert producer.options["bootstrap_servers"] == ["b1.example:9092", "b2.example:9092"]


def test_no_broker_is_one_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> Producer:
        raise KafkaTimeoutError

    monkeypatch.setattr(lethe.publisher, "KafkaProducer", refuse)
    with pytest.raises(PublishFailedError, match="KafkaTimeoutError"):
        make()


def test_kafka_python_does_not_log_messages(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG it would write keys, and so cookie ids, into the site's log."""
    caplog.set_level(logging.DEBUG)
    assert not logging.getLogger("kafka.producer.kafka").isEnabledFor(logging.DEBUG)


NOTICE = {"notice_id": "cookies", "notice_version": "2026-10"}


def test_consent_is_recorded_and_its_epoch_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lethe.publisher, "KafkaProducer", Placing)
    publisher, producer = make(prefix="test.")
    epoch = publisher.consent("c-1", "ads", "given", how="banner", language="nl-BE", **NOTICE)
    assert epoch == epoch_of(Placing.offset)
    ((topic, value, key),) = producer.sent
    assert (topic, key) == ("test.consent-changes", b"shop.example|c-1")
    now = datetime.fromtimestamp(NOW / 1000, UTC)
    assert decode("consent_change", value) == {
        "change_id": ID,
        "site": "shop.example",
        "cookie_id": "c-1",
        "purpose": "ads",
        "decision": "given",
        **NOTICE,
        "language": "nl-BE",
        "how": "banner",
        "occurred_at": now,
        "received_at": now,
    }
    publisher.flush()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cookie_id": "jane doe"}, "cookie_id"),
        ({"purpose": "Jane"}, "purpose"),
        ({"decision": "jane"}, "decision"),
        ({"notice_id": None}, "notice_id"),
        ({"how": "gpc"}, "how"),
        ({"occurred_at": "jane"}, "occurred_at"),
    ],
)
def test_consent_that_breaks_a_rule_is_refused_without_the_value(
    change: dict[str, Any], field: str
) -> None:
    publisher, producer = make()
    given = {"cookie_id": "c-1", "purpose": "ads", "decision": "given", **NOTICE}
    with pytest.raises(InvalidEventError) as refused:
        publisher.consent(**(given | change))
    assert [problem.field for problem in refused.value.problems] == [field]
    assert "jane" not in str(refused.value).lower()
    assert not producer.sent


def test_consent_the_broker_did_not_confirm_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, _ = make()
    with pytest.raises(PublishFailedError, match="KafkaTimeoutError") as failed:
        publisher.consent("c-1", "ads", "withdrawn", timeout=0, **NOTICE)
    assert "192.0.2.7" not in str(failed.value)
    monkeypatch.setattr(lethe.publisher, "KafkaProducer", Placing)
    monkeypatch.setattr(Placing, "offset", -1)
    publisher, _ = make()
    with pytest.raises(PublishFailedError):
        publisher.consent("c-1", "ads", "withdrawn", **NOTICE)
