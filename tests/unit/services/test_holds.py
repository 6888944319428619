"""A person's restriction: their cases are kept and nothing else, until it is lifted (S21)."""

from typing import Any

import pytest

from privacy.rights.plan import Act, Command
from privacy.rights.request import Asked, Ground, Right
from sinks.ledger import holds, outbox, suppressed
from sinks.ledger.holds import Hold, Kind, Whose
from sinks.ledger.requests import Request, State
from streams.lanes.ledgered import publish
from streams.rights.doing import Doing, Done
from streams.rights.holds import HoldActs, resume

Desk = Any


def doing(act: Act, at: int, request_id: str = "r-1", subject: str | None = "s-1") -> Doing:
    right = Right.RESTRICTION if act is Act.HOLD_SUBJECT else Right.LIFTING
    asked = Asked(right, None, "anne@example.com", None, None, "en", None, (), {}, None, None, "t")
    request = Request(
        request_id, right, Ground.ACCURACY_CONTESTED, "shop.example", "en", subject, False,
        State.PLANNED, at, at, None,
    )  # fmt: skip
    return Doing(request, asked, b"", Command(act), 0, at)


def act(desk: Desk, which: Act, *, subject: str | None = "s-1") -> Done:
    acts = HoldActs(desk.policy, desk.transitions)
    with desk.ledger.transaction() as connection:
        done = acts.handlers()[which](connection, doing(which, desk.now, subject=subject))
        assert isinstance(done, Done)
        outbox.append(connection, "rights", done.messages)
    publish(desk.ledger, desk.broker.producer(), "rights", "rights", 0)
    return done


def told(desk: Desk) -> int:
    topics = ("cases-events", "cases-sales", "notices", "mailing-changes")
    return sum(len(desk.broker.values(topic)) for topic in topics)


@pytest.fixture
def held(desk: Desk) -> Desk:
    """Hold a case, ``c-1``."""
    desk.submit("c-1", "samples")
    desk.run()
    desk.now += 1000
    assert act(desk, Act.HOLD_SUBJECT).outcome == "1 cases held"
    desk.now += 1000
    return desk


def test_an_event_of_a_held_case_waits_and_changes_nothing(held: Desk) -> None:
    before = told(held)
    held.report("delivered", "samples", "c-1")
    held.run()
    assert held.states() == {"c-1": "open"}
    assert not held.deletions()
    assert not held.refused()
    assert told(held) == before


def test_a_case_that_comes_meanwhile_is_kept_and_nobody_is_told(held: Desk) -> None:
    before = told(held)
    held.submit("c-2", "samples")
    held.submit("c-3", "news")
    held.submit("of another", "samples", subject="s-2")
    held.run()
    assert held.states() == {"c-1": "open", "c-2": "open", "c-3": "open", "of another": "open"}
    assert told(held) == before + 2


def test_on_lifting_departments_are_told_again_and_events_are_applied_in_order(
    held: Desk,
) -> None:
    held.submit("c-2", "jobs")
    held.run()
    held.report("progressed", "jobs", "c-2")
    held.report("hired", "jobs", "c-2")
    cause = held.report("delivered", "samples", "c-1")
    held.run()
    before = len(held.broker.values("cases-sales"))
    assert act(held, Act.LIFT_SUBJECT).outcome == "2 cases released"
    assert held.deletions()["c-1"]["cause_id"] == cause
    sent = held.sent("cases-sales", "case")[before:]
    assert [each["case_id"] for each in sent if each["case_id"] == "c-1"] == ["c-1"]
    assert any(each["case_id"] == "c-2" for each in sent)
    with held.ledger.reading() as connection:
        assert not holds.all(connection)
        assert not holds.deferred(connection, ["c-1", "c-2"])
    # Once more changes nothing.
    assert act(held, Act.LIFT_SUBJECT).outcome == "0 cases released"


def test_a_group_that_closes_meanwhile_ends_a_held_case_when_it_is_lifted(desk: Desk) -> None:
    desk.submit("mine", "jobs", "vacancy")
    desk.submit("hers", "jobs", "vacancy", subject="s-2")
    desk.run()
    desk.now += 1000
    act(desk, Act.HOLD_SUBJECT)
    desk.now += 1000
    desk.submit("late", "jobs", "vacancy")
    desk.report("process_ended", "jobs", group="vacancy")
    desk.run()
    states = desk.states()
    assert states["mine"] == states["late"] == "open"
    assert states["hers"] != "open"
    act(desk, Act.LIFT_SUBJECT)
    assert set(desk.states().values()) == {states["hers"]}


def test_time_that_runs_out_passes_a_held_case_over(desk: Desk) -> None:
    desk.submit("c-1", "jobs", "vacancy")
    desk.report("process_ended", "jobs", group="vacancy")
    desk.run(close=False)
    desk.closures.batch()
    act(desk, Act.HOLD_SUBJECT)
    state = desk.states()
    desk.now += 800 * 86_400_000
    desk.run()
    assert desk.states() == state
    act(desk, Act.LIFT_SUBJECT)
    desk.run()
    assert desk.states() == {"c-1": "ended"}


def test_a_subscription_made_meanwhile_is_told_of_when_it_is_lifted(held: Desk) -> None:
    held.submit("c-2", "news")
    held.run()
    assert not held.broker.values("mailing-changes")
    act(held, Act.LIFT_SUBJECT)
    (change,) = held.sent("mailing-changes", "mailing_change")
    assert change["case_id"] == "c-2"


def test_what_an_erased_person_sent_before_ends_at_once(desk: Desk) -> None:
    with desk.ledger.transaction() as connection:
        suppressed.put(connection, "s-1", desk.now, "r-9")
    desk.submit("late", "samples")
    desk.submit("new", "samples", received_at=desk.now + 1)
    desk.run()
    assert desk.states() == {"late": "ended", "new": "open"}
    deletion = desk.deletions()["late"]
    assert (deletion["cause"], deletion["cause_id"]) == ("erasure", "r-9")
    assert {each["case_id"] for each in desk.sent("cases-sales", "case")} == {"new"}


def test_a_claim_keeps_a_case_from_its_end_until_it_is_released(desk: Desk) -> None:
    desk.submit("c-1", "samples")
    desk.run()
    claim = Hold("claim", Kind.CLAIM, None, None, None, "c-1", "a dispute", desk.now)
    with desk.ledger.transaction() as connection:
        holds.place(connection, claim)
    desk.report("delivered", "samples", "c-1")
    desk.run()
    assert desk.states() == {"c-1": "open"}
    assert not desk.refused()
    with desk.ledger.transaction() as connection:
        holds.lift(connection, "claim", Whose.CASE)
        at = desk.now
        resume(connection, desk.policy, desk.transitions, ["c-1"], at, told_before=at + 1)
    assert desk.states() == {"c-1": "ended"}
    assert "c-1" in desk.deletions()


@pytest.mark.parametrize("which", [Act.HOLD_SUBJECT, Act.LIFT_SUBJECT])
def test_who_is_not_known_by_an_address_has_no_cases(desk: Desk, which: Act) -> None:
    assert act(desk, which, subject=None).outcome == "nobody known by an address"
