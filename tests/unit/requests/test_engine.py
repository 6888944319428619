"""Plans are done in order, each step once, whatever fails or dies on the way (S17 to S24)."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from privacy.rights.plan import Act
from privacy.rights.request import Right
from schemas.codec import decode
from sinks.ledger import cases, deletion, holds, suppressed, tables, unsubscribed
from sinks.ledger.holds import Hold, Kind
from sinks.ledger.outbox import Message
from sinks.ledger.requests import State
from streams.rights import engine
from streams.rights.doing import Doing, Done, Later
from streams.rights.engine import LEASE_MS

MINUTE_MS, DAY_MS = 60_000, 86_400_000
POINTS, LEAST = 28, 20  # one more or less by which of two threads outside is first


class Crash(BaseException):
    """What no part of the engine catches, as the end of its process."""


def complete_deletions(desk: Any) -> None:
    """Do what the parts of deletion do, up to the certificate."""
    with desk.ledger.transaction() as connection:
        found = deletion.to_shred(connection, 1_000)
        deletion.shred(connection, found, desk.now)
        deletion.unreadable(connection, found, desk.now)
        deletion.announced(connection, found, desk.now)
        done = {each.deletion.deletion_id: {} for each in deletion.latest(connection, 1_000)}
        deletion.complete(connection, done, desk.now)


def ask_erasure(desk: Any, name: str = "r", email: str = "ann@example.com") -> None:
    desk.ask(name, email=email)
    desk.say(name, "confirmed")
    desk.take_in()


@pytest.fixture(autouse=True)
def certify(desk: Any) -> None:
    """Stand in for what makes the certificate that is fetched, which has tests of its own."""
    desk.handlers[Act.CERTIFY] = lambda *_: Done("certified")


def test_an_erasure_ends_the_cases_and_answers_when_they_are_gone(desk: Any) -> None:
    desk.begin_case("sample", "samples")
    desk.begin_case("subscription", "news")
    desk.begin_case("bobs", "samples", "bob@example.com")
    ask_erasure(desk)
    desk.work()
    assert desk.get("r").state is State.PLANNED
    assert [each for each in desk.mailed() if each[1] == "answer"] == []
    with desk.ledger.reading() as connection:
        ended = {each.deletion.case_id: each for each in deletion.latest(connection, 9)}
        assert ended.keys() == {"sample", "subscription"}
        assert {each.deletion.cause for each in ended.values()} == {"erasure"}
        assert {each.deletion.cause_id for each in ended.values()} == {"r"}
        subject = desk.get("r").subject
        assert suppressed.of(connection, [subject])[subject].at == desk.now
        assert unsubscribed.among(connection, "news", [subject]) == {subject}
    complete_deletions(desk)
    desk.now += MINUTE_MS
    desk.work()
    assert (desk.get("r").state, desk.get("r").verdict) == (State.ANSWERED, "granted")
    assert desk.mailed()[-1] == ("r", "answer")
    done = [(each.act, each.outcome) for each in desk.steps("r")]
    assert ("await_deletions", "2 of 2 deletions certified") in done
    assert all(each.done_at for each in desk.steps("r"))
    with desk.ledger.reading() as connection:
        assert cases.with_keys(connection, ["bobs"]) == {"bobs"}


def test_who_nothing_is_held_of_is_answered(desk: Any) -> None:
    ask_erasure(desk)
    desk.work()
    assert desk.get("r").state is State.ANSWERED
    assert desk.mailed()[-1] == ("r", "answer")


def test_an_answer_is_in_time_whoever_is_still_at_work(desk: Any) -> None:
    desk.begin_case("c", "samples")
    ask_erasure(desk)
    desk.work()
    desk.now = desk.get("r").deadline - 4 * DAY_MS
    desk.work()
    assert desk.get("r").state is State.PLANNED
    desk.now += 2 * DAY_MS
    desk.work()
    assert desk.get("r").state is State.ANSWERED
    assert "0 of 1 deletions certified" in {each.outcome for each in desk.steps("r")}


def test_a_claim_keeps_its_case_and_the_answer_says_so(desk: Any) -> None:
    desk.begin_case("c", "samples")
    with desk.ledger.transaction() as connection:
        holds.place(connection, Hold("h", Kind.CLAIM, None, None, None, "c", "file 4", 1))
    ask_erasure(desk)
    desk.work()
    assert desk.get("r").refused == [("samples", "claim")]
    with desk.ledger.reading() as connection:
        assert not deletion.latest(connection, 1)


def test_a_step_that_fails_holds_up_its_request_alone_and_is_told(desk: Any) -> None:
    ask_erasure(desk, "r-1")
    ask_erasure(desk, "r-2", "bob@example.com")
    good = desk.handlers[Act.CERTIFY]

    def certify(connection: Connection, doing: Doing) -> Done | Later:
        if doing.request.request_id == "r-1":
            connection.execute(
                insert(tables.suppressed), {"subject": "x", "at": 1, "request_id": "x"}
            )
            raise ValueError("ann@example.com")
        return good(connection, doing)

    desk.handlers[Act.CERTIFY] = certify
    desk.work()
    assert [desk.get(each).state for each in ("r-1", "r-2")] == [State.PLANNED, State.ANSWERED]
    with desk.ledger.reading() as connection:
        assert not suppressed.of(connection, ["x"])  # what the failed step did is undone
    assert desk.alerts() == [("request_stuck", "rights: certify", 1)]
    desk.handlers[Act.CERTIFY] = good
    desk.now += MINUTE_MS
    desk.work()
    assert desk.get("r-1").state is State.ANSWERED


def test_no_error_is_told_with_its_own_words(
    desk: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    ask_erasure(desk)

    def fail(*_: object) -> Done:
        raise ValueError("ann@example.com")

    desk.handlers[Act.CERTIFY] = fail
    desk.work()
    said = caplog.text + "".join(capsys.readouterr())
    assert "ValueError" in said
    assert "ann@" not in said


def test_what_cannot_be_planned_holds_up_nobody_else(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_erasure(desk, "r-1")
    ask_erasure(desk, "r-2", "bob@example.com")
    planned = engine.plan

    def plan(asked: Any, *more: Any) -> Any:
        if asked.email == "ann@example.com":
            raise KeyError(asked.email)
        return planned(asked, *more)

    monkeypatch.setattr(engine, "plan", plan)
    desk.work()
    assert [desk.get(each).state for each in ("r-1", "r-2")] == [State.CONFIRMED, State.ANSWERED]
    assert desk.alerts() == [("request_stuck", "rights: plan", 1)]


def test_what_rests_is_not_gone_on_with_before(desk: Any) -> None:
    ask_erasure(desk)
    until = desk.now + MINUTE_MS
    desk.handlers[Act.CERTIFY] = lambda *_: Done("said", (), until)
    desk.work()
    desk.now = until - 1
    desk.work()
    assert desk.get("r").state is State.PLANNED
    desk.now = until
    desk.work()
    assert desk.get("r").state is State.ANSWERED


def test_nothing_is_done_behind_a_letter_that_the_broker_has_not(desk: Any) -> None:
    """A restriction is not lifted before its notice is on its way (Art. 18(3), S21)."""
    lifted = []
    desk.handlers[Act.LIFT_SUBJECT] = lambda *_: lifted.append(1) or Done("lifted")
    desk.ask("r", Right.LIFTING)
    desk.say("r", "confirmed")
    desk.take_in()
    with desk.ledger.transaction() as connection:
        subject = desk.get("r").subject
        hold = Hold("h", Kind.RESTRICTION, subject, None, None, None, "unlawful_but_kept", 1)
        holds.place(connection, hold)

    class Away:
        def send(self, *_: object) -> None: ...

        def stored(self) -> None:
            raise Crash

    working = desk.engine(Away())
    for _ in range(3):
        with pytest.raises(Crash):
            working.turn()
        desk.now += MINUTE_MS
    # Even if somebody else publishes meanwhile, and this one only works:
    working.publish = lambda: None
    working.turn()
    assert not lifted
    desk.now += MINUTE_MS
    desk.work()
    assert desk.mailed()[-2:] == [("r", "lifting"), ("r", "answer")]
    assert lifted == [1]


def test_a_step_outside_is_done_once_and_out_of_the_transaction(desk: Any) -> None:
    ask_erasure(desk)
    did = []

    def outside(doing: Doing) -> Done:
        with desk.ledger.transaction():  # would stand still within the engine's
            did.append(doing.number)
        return Done("done outside", [Message("elsewhere", b"k", b"v")])

    desk.outside[Act.CERTIFY] = outside
    desk.work()
    assert desk.get("r").state is State.ANSWERED
    assert len(did) == 1
    assert desk.broker.values("elsewhere") == [b"v"]


def test_a_step_outside_that_fails_is_tried_again(desk: Any) -> None:
    ask_erasure(desk)
    came: Iterator[Any] = iter([ValueError("ann@example.com"), Later(desk.now + 2 * MINUTE_MS)])

    def outside(_: Doing) -> Done | Later:
        result = next(came, Done("done outside"))
        if isinstance(result, Exception):
            raise result
        return result

    desk.outside[Act.CERTIFY] = outside
    for _ in range(3):
        desk.work()
        desk.now += MINUTE_MS
    assert desk.get("r").state is State.ANSWERED
    assert desk.alerts() == [("request_stuck", "rights: certify", 1)]


def test_who_dies_outside_is_followed_when_the_lease_is_over(desk: Any) -> None:
    ask_erasure(desk)

    def die(_: Doing) -> Done:
        raise Crash

    desk.outside[Act.CERTIFY] = die
    with pytest.raises(Crash):
        desk.work()
    desk.outside[Act.CERTIFY] = lambda _: Done("done outside")
    desk.work()
    assert desk.get("r").state is State.PLANNED  # somebody may still be at it
    desk.now += LEASE_MS
    desk.work()
    assert desk.get("r").state is State.ANSWERED


def test_who_outlives_their_lease_outside_says_nothing_more(desk: Any) -> None:
    ask_erasure(desk)
    calls = itertools.count()

    def outside(_: Doing) -> Done:
        if next(calls) == 0:  # it takes so long that another engine takes over, and is done
            desk.now += LEASE_MS
            desk.work()
            assert desk.get("r").state is State.ANSWERED
        return Done("done outside", [Message("elsewhere", b"k", b"v")])

    desk.outside[Act.CERTIFY] = outside
    desk.work()
    assert desk.broker.values("elsewhere") == [b"v"]
    assert desk.get("r").due_at is None


@pytest.mark.parametrize("at", range(POINTS))
def test_a_crash_anywhere_loses_nothing_and_doubles_nothing(
    desk: Any, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends before or after any transaction, message or step outside."""
    desk.begin_case("c", "samples")
    desk.begin_case("s", "news")
    ask_erasure(desk, "r-1")
    ask_erasure(desk, "r-2", "bob@example.com")
    did: list[str] = []
    desk.outside[Act.CERTIFY] = lambda doing: did.append(doing.request.request_id) or Done("done")
    points = itertools.count()

    def point() -> None:
        if next(points) == at:
            raise Crash

    with_crashes(desk, point, monkeypatch)
    crashed = False
    while any(desk.get(each).state is not State.ANSWERED for each in ("r-1", "r-2")):
        try:
            desk.work()
            complete_deletions(desk)
        except Crash:
            crashed = True
        desk.now += LEASE_MS
    desk.work()  # what the last crash left to be sent
    assert crashed or at > LEAST
    answers = [name for name, kind in desk.mailed() if kind == "answer"]
    ids = {decode("letter", each)["letter_id"] for each in desk.broker.values("letters")}
    assert set(answers) == {"r-1", "r-2"}
    assert len(ids) == 4  # two of each, however often they were sent
    assert set(did) == {"r-1", "r-2"}
    with desk.ledger.reading() as connection:
        ended = [each.deletion.case_id for each in deletion.latest(connection, 9)]
    assert sorted(ended) == ["c", "s"]


def with_crashes(desk: Any, point: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Have the process end at one of the points around all that leaves a trace."""
    transaction, producer, outside = desk.ledger.transaction, desk.broker.producer, desk.outside

    @contextmanager
    def transacted() -> Iterator[Connection]:
        with transaction() as connection:
            yield connection
            point()  # nothing of it is kept
        point()

    def producing() -> Any:
        made = producer()
        stored = made.stored

        def acknowledged() -> None:
            point()
            stored()
            point()

        made.stored = acknowledged
        return made

    does = outside[Act.CERTIFY]

    def done_outside(doing: Doing) -> Done | Later:
        point()
        result = does(doing)
        point()
        return result

    patch.setattr(desk.ledger, "transaction", transacted)
    patch.setattr(desk.broker, "producer", producing)
    desk.outside[Act.CERTIFY] = done_outside
