"""What holders say reaches the ledger once, and completes what waited for it (S3, S17 to S21)."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from schemas.codec import decode, encode
from sinks.ledger import deletion, demands, tables
from sinks.ledger.demands import Demand, Kind
from sinks.ledger.ledger import Ledger
from streams.deletion.certify import Certifier
from streams.deletion.receipts import ReceiptsLane

NOW = 1_795_000_000_000

Say = Callable[..., None]


@pytest.fixture
def say(broker: Any) -> Say:
    def said(case_id: str, holder: str, outcome: str = "done", by: str = "", **more: Any) -> None:
        receipt = {
            "receipt_id": f"r-{holder}", "deletion_id": f"d-{case_id}", "case_id": case_id,
            "holder": holder, "outcome": outcome, "at": NOW, **more,
        }  # fmt: skip
        topic = f"deletion-receipts-{by or holder}"
        broker.put(topic, case_id.encode(), encode("deletion_receipt", receipt))

    return said


@pytest.fixture
def run(ledger: Ledger, certifier: Certifier, broker: Any) -> Callable[[], None]:
    def read_all() -> None:
        stop = threading.Event()
        ReceiptsLane(
            {f"deletion-receipts-{each}": each for each in ("crm", "mail", "elsewhere")},
            "dead-letters", ledger, certifier,
            consumer=broker.consumer(stop.set), producer=broker.producer(), clock=lambda: NOW,
        ).run(stop)  # fmt: skip

    return read_all


def complete(ledger: Ledger, case_id: str) -> bool:
    with ledger.reading() as connection:
        found = deletion.show(connection, case_id)
    assert found is not None
    assert (found.completed_at is None) == (found.certificate is None)
    return found.completed_at is not None


def refused(broker: Any) -> list[tuple[str, list[str]]]:
    letters = [decode("dead_letter", each) for each in broker.values("dead-letters")]
    return [(each["reason"], each["fields"]) for each in letters]


def test_the_last_receipt_completes_a_deletion(
    ledger: Ledger, ask: Any, say: Say, run: Callable[[], None], broker: Any
) -> None:
    ask("a", ["crm", "mail"])
    ask("b", ["crm"])
    say("a", "crm")
    run()
    assert not complete(ledger, "a")
    say("a", "mail", "nothing_held")
    say("b", "crm", "failed")
    run()
    assert complete(ledger, "a")
    assert not complete(ledger, "b")
    say("b", "crm")
    run()
    assert complete(ledger, "b")
    assert not refused(broker)


def test_receipts_that_come_again_change_nothing(
    ledger: Ledger, ask: Any, say: Say, run: Callable[[], None], broker: Any
) -> None:
    ask("a", ["crm"])
    say("a", "crm")
    run()
    with ledger.transaction() as connection:
        before = deletion.show(connection, "a")
        connection.execute(tables.positions.delete())
    broker.committed.clear()
    say("a", "crm", "failed")
    run()
    with ledger.reading() as connection:
        assert deletion.show(connection, "a") == before


@pytest.mark.parametrize(
    ("case_id", "holder", "more", "fields"),
    [
        ("unknown", "crm", {}, ["deletion_id", "case_id"]),
        ("a", "crm", {"deletion_id": "d-b"}, ["deletion_id", "case_id"]),
        ("a", "elsewhere", {}, ["holder"]),
    ],
)
def test_a_receipt_that_nobody_asked_for_is_refused(
    ledger: Ledger, ask: Any, say: Say, run: Callable[[], None], broker: Any,
    case_id: str, holder: str, more: dict[str, Any], fields: list[str],
) -> None:  # fmt: skip
    ask("a", ["crm"])
    ask("b", ["crm"])
    say(case_id, holder, **more)
    run()
    assert refused(broker) == [("unknown_case", fields)]
    assert not complete(ledger, "a")
    assert not complete(ledger, "b")


def test_a_receipt_in_anothers_name_is_refused(
    ledger: Ledger, ask: Any, say: Say, run: Callable[[], None], broker: Any
) -> None:
    """Who may write to a topic is the holder whose it is, whatever is written there."""
    ask("a", ["crm", "mail"])
    say("a", "crm", by="mail")
    say("a", "mail")
    run()
    assert refused(broker) == [("wrong_holder", ["holder"])]
    assert not complete(ledger, "a")
    say("a", "crm")
    run()
    assert complete(ledger, "a")


def test_what_cannot_be_read_is_refused_and_the_rest_goes_on(
    ledger: Ledger, ask: Any, say: Say, run: Callable[[], None], broker: Any
) -> None:
    ask("a", ["crm"])
    broker.put("deletion-receipts-crm", b"a", b"nothing of ours")
    say("a", "crm")
    run()
    assert refused(broker) == [("wrong_magic", [])]
    assert complete(ledger, "a")


def ask_right(ledger: Ledger, case_id: str, kind: Kind, *holders: str) -> None:
    asked = Demand(f"d-{case_id}", "r", kind, case_id, "samples", holders, NOW, NOW + 1_000)
    with ledger.transaction() as connection:
        demands.add(connection, [asked])


def answered(ledger: Ledger, case_id: str) -> tuple[bool, list[bytes | None]]:
    """Tell whether a demand is complete, and what was said to be held."""
    demand_id = f"d-{case_id}"
    with ledger.transaction() as connection:
        asked = demands.asked(connection, [demand_id])[demand_id]
        said = demands.answers_of(connection, [demand_id])[demand_id]
    return asked.completed_at is not None, [each.content for each in said]


def test_the_last_receipt_completes_a_demand_and_brings_what_is_held(
    ledger: Ledger, ask: Any, say: Say, run: Callable[[], None], broker: Any
) -> None:
    ask_right(ledger, "a", Kind.EXPORT, "crm", "mail")
    ask("b", ["crm"])
    say("a", "crm", content=b"sealed")
    say("b", "crm")
    run()
    assert answered(ledger, "a") == (False, [b"sealed"])
    assert complete(ledger, "b")
    say("a", "mail", "failed")
    run()
    assert not answered(ledger, "a")[0]
    say("a", "mail", "nothing_held")
    run()
    assert answered(ledger, "a") == (True, [b"sealed", None])
    assert not refused(broker)


@pytest.mark.parametrize("kind", [Kind.CORRECTION, Kind.HOLD, Kind.LIFT])
def test_what_is_held_is_kept_where_it_was_asked_for_alone(
    ledger: Ledger, say: Say, run: Callable[[], None], kind: Kind
) -> None:
    ask_right(ledger, "a", kind, "crm")
    say("a", "crm", content=b"sealed")
    run()
    assert answered(ledger, "a") == (True, [None])


@pytest.mark.parametrize(
    ("holder", "more", "reason", "fields"),
    [
        ("elsewhere", {}, "unknown_case", ["holder"]),
        ("crm", {"deletion_id": "d-b"}, "unknown_case", ["deletion_id", "case_id"]),
        ("crm", {"by": "mail"}, "wrong_holder", ["holder"]),
    ],
)
def test_of_a_demand_too_a_receipt_that_nobody_asked_for_is_refused(
    ledger: Ledger, say: Say, run: Callable[[], None], broker: Any,
    holder: str, more: dict[str, Any], reason: str, fields: list[str],
) -> None:  # fmt: skip
    ask_right(ledger, "a", Kind.EXPORT, "crm")
    ask_right(ledger, "b", Kind.EXPORT, "crm")
    say("a", holder, content=b"sealed", **more)
    run()
    assert refused(broker) == [(reason, fields)]
    assert answered(ledger, "a") == answered(ledger, "b") == (False, [])
