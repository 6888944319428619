"""A visitor's consents, restriction and erasure, through the consent lane and into the facts."""

import threading
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from privacy.consent import ERASURE, RESTRICTION, Decision, withheld
from privacy.durations import DAY_MS
from privacy.outcome import Reason
from privacy.policy import Policy
from privacy.rights.plan import Act, Command
from privacy.rights.request import Asked, Right
from schemas.codec import encode
from sinks.clickhouse.visitors import hashes
from sinks.clickhouse.visitors_memory import Fact, MemoryFacts
from sinks.ledger import consents, holds, outbox, reached, requests, tables, visitor_facts
from sinks.ledger.ledger import Ledger
from sinks.ledger.reached import Reached
from sinks.ledger.requests import Request, State
from sinks.salts import Salts
from streams.lanes.consent import ConsentLane
from streams.lanes.ledgered import publish
from streams.rights import recipients
from streams.rights.doing import Doing, Later
from streams.rights.facts import AGAIN_MS, LINGER_MS, SETTLE_MS, FactsLoop
from streams.rights.visitors import LATE_MS, VisitorActs

NOW = 1_795_000_000_000
SITE, COOKIE = "shop.example", "c-1"
WHO = f"{SITE}|{COOKIE}".encode()
POLICY = """
version = "test"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[purposes.statistics]
title = "Statistics"
mode = "opt_out"
covers = "analytics"
legal_basis = "Art. 6(1)(f) GDPR"
[purposes.ads]
title = "Ads"
mode = "opt_in"
covers = "ads"
legal_basis = "Art. 6(1)(a) GDPR"
"""


class Rig:
    """Does steps of requests as the engine would; everything else is as in the worker."""

    def __init__(self, ledger: Ledger, broker: Any, salts: Salts) -> None:
        self.ledger = ledger
        self.broker = broker
        self.now = NOW
        self.memory = MemoryFacts()
        self.salts = salts
        self.loop = FactsLoop(ledger, self.memory, salts, lambda: self.now)
        self.policy = Policy.model_validate(tomllib.loads(POLICY))
        self.acts = VisitorActs(self.policy, lambda name: name).handlers()
        self.salts.current(NOW)

    def plan(
        self, request_id: str, *commands: tuple[Act, str], right: Right = Right.ERASURE
    ) -> None:
        request = Request(
            request_id, right, None, SITE, "en", None, True, State.CONFIRMED, NOW,
            NOW + 30 * DAY_MS, None,
        )  # fmt: skip
        steps = [(act.value, target) for act, target in commands]
        with self.ledger.transaction() as connection:
            requests.add(connection, request)
            requests.put_plan(connection, request_id, steps, "granted", [], self.now, "test")

    def answering(self, connection: Any, request_id: str) -> Doing:
        """Return the last step of a request, by the visitor."""
        request = requests.get(connection, request_id)
        assert request is not None
        return Doing(request, _asked(SITE, COOKIE), b"", Command(Act.ANSWER, ""), 9, self.now)

    def step(self, request_id: str = "r-1", cookie_id: str | None = COOKIE) -> str | Later:
        """Do the next step of a request's plan; return its outcome, or when to look again."""
        site = None if cookie_id is None else SITE
        asked = _asked(site, cookie_id)
        with self.ledger.transaction() as connection:
            request = requests.get(connection, request_id)
            step = requests.next_steps(connection, [request_id])[request_id]
            assert request is not None
            assert step is not None
            act = Act(step.act)
            doing = Doing(request, asked, b"", Command(act, step.target), step.number, self.now)
            came = self.acts[act](connection, doing)
            if isinstance(came, Later):
                result: str | Later = came
            else:
                requests.done(connection, [(request_id, step.number, came.outcome)], self.now)
                outbox.append(connection, "rights", came.messages)
                result = came.outcome
        self.travel()
        return result

    def travel(self) -> None:
        """Let what was said be heard: the outbox, then the consent lane."""
        publish(self.ledger, self.broker.producer(), "rights", "rights", 0)
        stop = threading.Event()
        ConsentLane(
            "consent-changes",
            "consent-state",
            self.ledger,
            purposes=["statistics", "ads"],
            ads=["ads"],
            consumer=self.broker.consumer(stop.set),
            producer=self.broker.producer(),
        ).run(stop)

    def choose(self, purpose: str, decision: Decision, change_id: str) -> None:
        record = {
            "change_id": change_id, "site": SITE, "cookie_id": COOKIE, "purpose": purpose,
            "decision": decision.value, "notice_id": "n", "notice_version": "1", "language": None,
            "how": "banner", "occurred_at": NOW, "received_at": NOW,
        }  # fmt: skip
        self.broker.put("consent-changes", WHO, encode("consent_change", record))
        self.travel()

    def standing(self) -> Any:
        with self.ledger.reading() as connection:
            return consents.standing(connection, SITE, COOKIE)

    def given(self) -> set[str]:
        standings = self.standing().standings.items()
        return {name for name, each in standings if each.decision == Decision.GIVEN}

    def fact(self, event_id: str) -> None:
        """Count an event of the visitor's today."""
        today = max(hashes(SITE, COOKIE, self.salts.kept()), key=lambda each: each.day)
        self.memory.counted.add(Fact(event_id, today))

    def turn(self, after: int = SETTLE_MS) -> None:
        self.now += after
        self.loop.turn()

    def rows(self, table: Any) -> Sequence[Any]:
        with self.ledger.reading() as connection:
            return connection.execute(select(table)).all()


def _asked(site: str | None, cookie_id: str | None) -> Asked:
    return Asked(Right.ERASURE, None, None, site, cookie_id, "en", None, (), {}, None, None, "t")


@pytest.fixture
def rig(tmp_path: Path, broker: Any) -> Iterator[Rig]:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    salts = Salts.under(tmp_path)
    yield Rig(ledger, broker, salts)
    salts.close()
    ledger.close()


def test_a_consent_is_withdrawn_once(rig: Rig) -> None:
    rig.choose("ads", Decision.GIVEN, "yes")
    rig.plan("r-1", (Act.WITHDRAW_PURPOSE, "ads"), (Act.OBJECT_PURPOSE, "statistics"))
    assert rig.step() == "withdrawn"
    assert not rig.given()
    assert rig.step() == "objected"
    assert rig.standing().standings["statistics"].decision == Decision.OBJECTED
    # What is sent again, after a crash, changes nothing.
    again = [each for each in rig.broker.logs["consent-changes"] if each.key() == WHO]
    rig.broker.put("consent-changes", WHO, again[0].value())
    rig.travel()
    assert not rig.given()
    (withdrawal,) = rig.rows(tables.withdrawals)
    assert withdrawal.purpose == "ads"


def test_a_restriction_holds_facts_and_leaves_consent_alone(rig: Rig) -> None:
    rig.choose("ads", Decision.GIVEN, "yes")
    rig.fact("e-1")
    rig.plan("r-1", (Act.HOLD_VISITOR, ""), right=Right.RESTRICTION)
    assert isinstance(rig.step(), Later)
    assert withheld(rig.standing()) == Reason.RESTRICTED
    assert rig.given() == {"ads", RESTRICTION}
    rig.turn()
    assert rig.step() == "restricted"
    assert not rig.memory.counted
    # It is settled like a withdrawal, of nothing that falls due.
    assert [each.purpose for each in rig.rows(tables.withdrawals)] == [RESTRICTION]
    # What loads late is held too.
    rig.fact("e-2")
    rig.turn(AGAIN_MS)
    assert {each.event_id for each in rig.memory.held["r-1"]} == {"e-1", "e-2"}

    rig.plan("r-2", (Act.LIFT_VISITOR, ""), (Act.LIFT_VISITOR, ""), right=Right.LIFTING)
    assert rig.step("r-2") == "lifted"
    assert withheld(rig.standing()) is None
    assert rig.given() == {"ads"}
    rig.turn()
    assert {each.event_id for each in rig.memory.counted} == {"e-1", "e-2"}
    assert rig.step("r-2") == "was not restricted"
    # And is not held again by what was to be done for the hold.
    rig.turn(AGAIN_MS)
    assert not rig.memory.held


def test_nobody_is_named_for_longer_than_facts_may_arrive(rig: Rig) -> None:
    rig.plan("r-1", (Act.HOLD_VISITOR, ""))
    rig.step()
    assert rig.rows(tables.visitor_facts)
    rig.turn()
    rig.turn(LINGER_MS)
    assert not rig.rows(tables.visitor_facts)


def test_an_erasure_leaves_nothing(rig: Rig) -> None:
    rig.choose("ads", Decision.GIVEN, "yes")
    rig.fact("e-1")
    removal = Reached("m-1", 0, SITE, COOKIE, None, {}, 1)
    with rig.ledger.transaction() as connection:
        reached.remember(connection, "meta", "ads", [removal])
    rig.plan("r-1", (Act.ERASE_VISITOR, ""), (Act.AWAIT_REMOVALS, ""), (Act.FORGET_VISITOR, ""))
    assert isinstance(rig.step(), Later)
    assert withheld(rig.standing()) == Reason.ERASED
    assert rig.given() == {ERASURE}
    assert all(each.how == "api" for each in rig.rows(tables.consent_changes))
    assert "ads" in {each.purpose for each in rig.rows(tables.withdrawals)}
    rig.turn()
    rig.turn()
    assert rig.step() == "erased"
    assert not rig.memory.counted

    assert isinstance(rig.step(), Later)
    with rig.ledger.transaction() as connection:
        reached.forget(connection, "meta", ["m-1"])
    assert rig.step() == "removed at providers"

    later = rig.step()
    assert isinstance(later, Later)
    assert later.due_at > rig.now + LATE_MS - DAY_MS
    # They come back meanwhile, and consent again: nothing is done with it.
    rig.choose("ads", Decision.GIVEN, "yes again")
    assert withheld(rig.standing()) == Reason.ERASED
    rig.now = later.due_at
    assert rig.step() == "forgotten"
    assert not rig.rows(tables.consents)
    assert not rig.rows(tables.consent_changes)
    assert not [each for each in rig.rows(tables.withdrawals) if each.visitor]
    last = rig.broker.logs["consent-state"][-1]
    assert (last.key(), last.value()) == (WHO, None)


def test_an_erasure_ends_a_restriction_and_what_it_kept(rig: Rig) -> None:
    rig.fact("e-1")
    rig.plan("r-1", (Act.HOLD_VISITOR, ""))
    rig.step()
    rig.turn()
    rig.plan("r-2", (Act.ERASE_VISITOR, ""))
    rig.step("r-2")
    assert rig.given() == {ERASURE}
    rig.turn()
    rig.turn()
    assert rig.step("r-2") == "erased"
    assert not rig.memory.counted
    assert not rig.memory.held
    assert not rig.rows(tables.holds)


def test_removals_are_awaited_as_long_as_an_answer_is_in_time(rig: Rig) -> None:
    removal = Reached("m-1", 0, SITE, COOKIE, None, {}, 1)
    with rig.ledger.transaction() as connection:
        reached.remember(connection, "meta", "ads", [removal])
    rig.plan("r-1", (Act.WITHDRAW_PURPOSE, "statistics"), (Act.AWAIT_REMOVALS, ""))
    rig.step()
    assert rig.step() == "removed at providers"
    rig.plan("r-2", (Act.WITHDRAW_PURPOSE, "ads"), (Act.AWAIT_REMOVALS, ""))
    rig.step("r-2")
    assert isinstance(rig.step("r-2"), Later)
    rig.now += 28 * DAY_MS
    assert rig.step("r-2") == "removal still open: meta"
    with rig.ledger.reading() as connection:
        assert recipients.silent(connection, rig.policy, rig.answering(connection, "r-2")) == [
            "Meta"
        ]


def test_of_an_erasure_people_are_told_who_keeps_what(rig: Rig) -> None:
    rules = {"purpose": "ads", "sites": [SITE]}
    told = {
        "ga4": {**rules, "pages": True},
        "x": {**rules, "conversions": [{"page": "/thanks", "id": "tw-ex4m0-1"}]},
    }
    policy = Policy.model_validate({**tomllib.loads(POLICY), "providers": told})
    rig.plan("r-1", (Act.ERASE_VISITOR, ""))
    rig.plan("r-2", (Act.WITHDRAW_PURPOSE, "ads"))
    with rig.ledger.reading() as connection:
        assert recipients.keeping(connection, policy, rig.answering(connection, "r-1")) == ["X"]
        assert not recipients.keeping(connection, policy, rig.answering(connection, "r-2"))


def test_while_a_visitor_is_restricted_no_removal_is_due(rig: Rig) -> None:
    removal = Reached("m-1", 0, SITE, COOKIE, None, {}, 1)
    with rig.ledger.transaction() as connection:
        reached.remember(connection, "meta", "ads", [removal])
        connection.execute(tables.reached.update().values(due_at=NOW))
        assert reached.due(connection, "meta", [0], 10)
    rig.plan("r-1", (Act.HOLD_VISITOR, ""))
    rig.step()
    with rig.ledger.reading() as connection:
        assert not reached.due(connection, "meta", [0], 10)


def test_a_request_without_a_visitor_does_nothing(rig: Rig) -> None:
    rig.plan("r-1", *((act, "ads") for act in rig.acts))
    for _ in rig.acts:
        assert rig.step(cookie_id=None) == "no visitor named"
    assert not rig.broker.logs["consent-changes"]


def test_an_act_repeated_after_a_crash_is_done_once(rig: Rig) -> None:
    rig.fact("e-1")
    rig.plan("r-1", (Act.ERASE_VISITOR, ""))
    rig.step()
    rig.turn()
    # The loop dies before it notes that the last byte is gone.
    rig.loop = FactsLoop(rig.ledger, rig.memory, rig.salts, lambda: rig.now)
    rig.turn()
    rig.turn()
    assert rig.step() == "erased"
    with rig.ledger.reading() as connection:
        assert visitor_facts.to_do(connection, rig.now, 10) == []
        assert not holds.all(connection)
