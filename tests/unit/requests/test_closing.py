"""Requests end: refused unconfirmed, or unreadable some days after the answer (S24)."""

from typing import Any

import pytest

from privacy.certificate import Outcome
from privacy.links import answer_id
from privacy.rights.plan import Act
from privacy.rights.request import Right
from sinks.keys.answers import open_answer
from sinks.ledger import answers, demands, holds, keys
from sinks.ledger.demands import Demand
from sinks.ledger.demands import Kind as DemandKind
from sinks.ledger.holds import Hold, Kind
from sinks.ledger.requests import State
from streams.alerts import Alerts
from streams.metrics import DEMANDS_OVERDUE, REQUESTS_OVERDUE
from streams.rights.doing import Done
from streams.rights.overdue import OverdueRequests

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@pytest.fixture(autouse=True)
def stand_ins(desk: Any) -> None:
    for act in (Act.CERTIFY, Act.BUNDLE, Act.HOLD_SUBJECT):
        desk.handlers[act] = lambda *_: Done("done")


def answered(desk: Any, name: str, right: Right = Right.ERASURE, by: str = "link") -> None:
    email, cookie = ("ann@example.com", None) if by == "link" else (None, "v-1")
    desk.ask(name, right, email=email, cookie=cookie)
    desk.say(name, "confirmed", by)
    desk.take_in()
    desk.work()
    assert desk.get(name).state is State.ANSWERED


def has_key(desk: Any, name: str) -> bool:
    with desk.ledger.reading() as connection:
        return bool(keys.wrapped_for(connection, "care", [name]))


def test_who_never_confirms_is_refused_and_told(desk: Any) -> None:
    desk.ask("r")
    desk.take_in()
    desk.now += desk.policy.rights.link_hours * HOUR_MS - 1
    desk.closing.look()
    assert desk.get("r").state is State.UNCONFIRMED
    desk.now += 1
    desk.closing.look()
    desk.work()
    assert desk.get("r").refused == [("", "identity_not_shown")]
    assert (desk.get("r").state, desk.mailed()[-1]) == (State.ANSWERED, ("r", "answer"))
    desk.say("r", "confirmed")  # the link, too late
    desk.take_in()
    desk.work()
    assert desk.get("r").verdict == "refused"


def test_a_request_is_unreadable_some_days_after_its_answer(desk: Any, tmp_path: Any) -> None:
    answered(desk, "r")
    sealed = desk.get("r").sealed
    desk.now += desk.policy.rights.letter_hours * HOUR_MS
    desk.closing.look()
    assert has_key(desk, "r")  # the mail system has its time to the last moment
    desk.now += 1
    desk.closing.look()
    assert not has_key(desk, "r")
    assert (desk.get("r").state, desk.get("r").sealed) == (State.CLOSED, None)
    assert [each for each in tmp_path.glob("ledger.db*") if sealed in each.read_bytes()] == []
    assert desk.get("r").subject is not None  # counted for a month
    desk.now += 31 * DAY_MS
    desk.closing.look()
    assert desk.get("r").subject is None
    assert desk.steps("r")  # the audit stays


def test_a_restriction_in_force_keeps_its_key_to_tell_of_the_lifting(desk: Any) -> None:
    answered(desk, "r", Right.RESTRICTION)
    with desk.ledger.transaction() as connection:
        subject = desk.get("r").subject
        hold = Hold("r", Kind.RESTRICTION, subject, None, None, None, "unlawful_but_kept", 1)
        holds.place(connection, hold)
    desk.now += 100 * DAY_MS
    desk.closing.look()
    assert has_key(desk, "r")
    with desk.ledger.transaction() as connection:
        holds.lift(connection, "r", hold.whose)
    desk.closing.look()
    assert not has_key(desk, "r")


def test_who_is_known_by_a_cookie_fetches_the_answer_until_it_expires(desk: Any) -> None:
    answered(desk, "r", Right.ACCESS, by="cookie")
    assert desk.mailed() == []
    token = "token-of-r"
    with desk.ledger.reading() as connection:
        file = answers.state(connection, answer_id(token))
    assert file is not None
    assert b"Example Authority" in open_answer(token, file.sealed or b"")
    desk.now += desk.policy.rights.answer_days * DAY_MS
    desk.closing.look()
    with desk.ledger.reading() as connection:
        expired = answers.state(connection, answer_id(token))
    assert expired is not None
    assert expired.sealed is None


def test_a_request_past_its_deadline_is_told_of_once_a_day(desk: Any) -> None:
    watch = OverdueRequests(
        desk.ledger, Alerts("pipeline-alerts", desk.broker.producer()), lambda: desk.now
    )
    desk.ask("r")
    desk.take_in()
    desk.now = desk.get("r").deadline
    watch.look()
    assert (desk.alerts(), REQUESTS_OVERDUE._value.get()) == ([], 0)
    desk.now += 1
    watch.look()
    watch.look()
    assert desk.alerts() == [("request_overdue", "rights", 1)]
    assert REQUESTS_OVERDUE._value.get() == 1


def test_a_holder_past_the_deadline_is_told_of_until_it_answers(desk: Any) -> None:
    watch = OverdueRequests(
        desk.ledger, Alerts("pipeline-alerts", desk.broker.producer()), lambda: desk.now
    )
    gauge = DEMANDS_OVERDUE.labels("crm")
    asked = Demand(
        "d", "r", DemandKind.HOLD, "c", "samples", ["crm", "mail"], desk.now, desk.now + 1
    )
    with desk.ledger.transaction() as connection:
        demands.add(connection, [asked])
        demands.receive(connection, [("d", "mail", Outcome.DONE, desk.now, None)])
    desk.now += 2
    watch.look()
    watch.look()
    assert desk.alerts() == [("demand_overdue", "crm", 1)]
    assert gauge._value.get() == 1
    with desk.ledger.transaction() as connection:
        demands.receive(connection, [("d", "crm", Outcome.NOTHING_HELD, desk.now, None)])
        demands.complete(connection, ["d"], desk.now)
    watch.look()
    assert gauge._value.get() == 0
