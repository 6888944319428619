"""What every lane with its effects in the ledger promises, over a broker in memory."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from privacy.outcome import Reason, Reject
from sinks.ledger import inbox
from sinks.ledger.inbox import Position
from sinks.ledger.ledger import Ledger, LedgerError, LedgerFaultError
from sinks.ledger.outbox import Message, append, pending, put, unsent
from sinks.ledger.tables import positions
from streams import turns
from streams.lanes import ledgered
from streams.lanes.ledgered import LedgeredLane, Outcome, publish


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


def echo(_: Connection, messages: Sequence[Any]) -> list[Outcome]:
    return [Outcome([Message("out", each.key(), each.value())]) for each in messages]


@pytest.fixture
def run(ledger: Ledger, broker: Any) -> Callable[..., None]:
    """Run a lane until it has read everything."""

    def read_all(take: Any = echo, **more: Any) -> None:
        stop = threading.Event()
        lane = LedgeredLane(
            "lane", ["in", "late"], ledger, take,
            consumer=broker.consumer(stop.set), producer=broker.producer(), **more,
        )  # fmt: skip
        lane.run(stop)

    return read_all


def test_what_comes_of_messages_is_sent_in_order_also_tombstones(
    run: Callable[..., None], broker: Any
) -> None:
    for value in (b"a", None, b"b"):
        broker.put("in", b"key", value)
    run()
    assert broker.values("out") == [b"a", None, b"b"]
    assert broker.committed["in", 0] == 3


def test_what_is_read_again_from_the_beginning_changes_nothing(
    run: Callable[..., None], broker: Any
) -> None:
    broker.put("in", b"key", b"a")
    run()
    broker.committed.clear()
    broker.put("in", b"key", b"b")
    run()
    assert broker.values("out") == [b"a", b"b"]


def test_what_an_earlier_life_left_is_sent_without_a_new_message(
    run: Callable[..., None], broker: Any, ledger: Ledger
) -> None:
    with ledger.transaction() as connection:
        inbox.first(connection, "lane", [Position("in", 0, 0)])
        put(connection, "lane", Position("in", 0, 0), [Message("out", b"key", b"left")])
    run()
    assert broker.values("out") == [b"left"]


def test_what_is_not_ready_comes_again_behind_nothing(
    run: Callable[..., None], broker: Any
) -> None:
    """The second of three waits: the first is done, the third stays behind it."""
    for value in (b"1", b"2", b"3"):
        broker.put("in", b"key", value)
    broker.put("late", b"key", b"other")
    looks = 0

    def ready(_: Connection, messages: Sequence[Any]) -> Sequence[Any]:
        nonlocal looks
        looks += 1
        return [each for each in messages if each.topic() == "late" or each.value() == b"1"
                or looks > 2]  # fmt: skip

    run(ready=ready)
    assert broker.values("out") == [b"1", b"other", b"2", b"3"]
    assert broker.commits == [
        {("in", 0): 1, ("late", 0): 1},
        {("in", 0): 3, ("late", 0): 1},
    ]


def test_a_refused_message_is_counted_and_its_dead_letter_sent(
    run: Callable[..., None], broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[int, list[Reason]]] = []
    monkeypatch.setattr(
        ledgered.metrics, "batch_done",
        lambda _, passed, rejects, __: counted.append((passed, [r.reason for _, r in rejects])),
    )  # fmt: skip
    broker.put("in", b"key", b"a")
    broker.put("in", b"key", b"b")
    reject = Reject(Reason.MALFORMED, "read")

    def refuse(_: Connection, messages: Sequence[Any]) -> list[Outcome]:
        assert len(messages) == 2
        return [Outcome([Message("dead-letters", b"", b"letter")], reject), Outcome()]

    run(refuse)
    assert broker.values("dead-letters") == [b"letter"]
    assert counted == [(1, [Reason.MALFORMED])]


def test_an_effect_that_the_ledger_refuses_is_done_again_and_once(
    run: Callable[..., None], broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "RETRY_SECONDS", 0.001)
    broker.put("in", b"key", b"a")
    tries = 0

    def fails_first(connection: Connection, messages: Sequence[Any]) -> list[Outcome]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise LedgerError("SQLITE_FULL")
        return echo(connection, messages)

    run(fails_first)
    assert (tries, broker.values("out")) == (2, [b"a"])


def test_an_effect_that_the_ledger_would_refuse_again_ends_the_lane_with_nothing_done(
    run: Callable[..., None], broker: Any, ledger: Ledger
) -> None:
    broker.put("in", b"key", b"a")

    def wrong(connection: Connection, _: Sequence[Any]) -> list[Outcome]:
        taken = connection.execute(select(positions)).mappings().one()
        connection.execute(positions.insert().values(**taken))
        pytest.fail("it was there already")

    with pytest.raises(LedgerFaultError, match="CONSTRAINT"):
        run(wrong)
    assert (broker.committed, broker.values("out")) == ({}, [])
    with ledger.reading() as connection:
        assert not connection.execute(select(positions)).all()


def test_what_has_no_topic_to_come_from_waits_in_the_order_it_was_kept(
    ledger: Ledger, broker: Any
) -> None:
    with ledger.transaction() as connection:
        append(connection, "loop", [Message("out", b"x", b"1"), Message("out", b"y", b"2")])
        append(connection, "loop", [Message("out", b"x", None)])
        append(connection, "loop", [])
        assert unsent(connection, [b"x", b"z"]) == {b"x"}
    publish(ledger, broker.producer(), "loop", "loop", 0)
    assert broker.values("out") == [b"1", b"2", None]
    with ledger.reading() as connection:
        assert not pending(connection, "loop", "loop", 0, 10)
        assert not unsent(connection, [b"x"])


@pytest.mark.parametrize("erases", [True, False])
def test_of_whom_a_message_erases_no_file_keeps_a_byte(
    run: Callable[..., None], broker: Any, tmp_path: Path, *, erases: bool
) -> None:
    """Not in what waited to be sent either. Without being told so, the log keeps it."""
    name = b"visitor-of-whom-nothing-stays"
    broker.put("in", name, None)
    run(lambda _, messages: [Outcome([Message("out", each.key(), None)], erases=erases)
                             for each in messages])  # fmt: skip
    kept = b"".join(each.read_bytes() for each in tmp_path.glob("ledger.db*"))
    assert (name in kept) is not erases
