"""Steps about a visitor: consents withdrawn, restricted, let go, erased, forgotten (S15, S20, S21).

What has to be obeyed everywhere travels as a change of consent, behind which nobody falls
(``sinks.consent_barrier``). What is in ClickHouse follows (``streams.rights.facts``).
"""

from collections.abc import Callable, Iterator
from typing import Final

from sqlalchemy import Connection

from privacy.consent import ERASURE, RESTRICTION, Decision
from privacy.durations import HOUR_MS
from privacy.policy import Policy
from privacy.rights.plan import Act
from schemas.codec import encode
from schemas.registry import topics
from sinks.consent_barrier import CHANGES
from sinks.ledger import consents, holds, outbox, reached, requests, visitor_facts
from sinks.ledger.consents import Visitor
from sinks.ledger.holds import Hold, Kind, Whose
from sinks.ledger.visitor_facts import END, FactsAct, VisitorAct
from streams.ids import made_id
from streams.rights.cases import IN_TIME_MS
from streams.rights.doing import Doing, Done, Handler, Handlers, Later, Outsides, look_again
from streams.rights.engine import READER
from streams.rights.gather import visitor_of

LATE_MS: Final = int(topics()["tracking-events"].config["retention.ms"]) + HOUR_MS
"""How long after an erasure an event from before it may still arrive."""

NOBODY = Done("no visitor named")

Mine = Callable[[Connection, Doing, Visitor], Done | Later]


class VisitorActs:
    """Does the acts whose target is the visitor that a request names."""

    def __init__(self, policy: Policy, topic_of: Callable[[str], str]) -> None:
        """Take ``topic_of`` to name a topic of the catalogue as the broker has it."""
        self._policy = policy
        self._changes = topic_of(CHANGES)

    def handlers(self) -> Handlers:
        """Return who does which act."""
        return {
            Act.WITHDRAW_PURPOSE: _of_visitor(self.withdraw),
            Act.OBJECT_PURPOSE: _of_visitor(self.object),
            Act.HOLD_VISITOR: _of_visitor(self.hold),
            Act.LIFT_VISITOR: _of_visitor(self.lift),
            Act.ERASE_VISITOR: _of_visitor(self.erase),
            Act.FORGET_VISITOR: _of_visitor(self.forget),
            Act.AWAIT_REMOVALS: _of_visitor(await_removals),
        }

    def outside(self) -> Outsides:
        """Return nothing: ClickHouse is asked by a loop of its own, for many at once."""
        return {}

    def withdraw(self, _: Connection, doing: Doing, visitor: Visitor) -> Done:
        """Withdraw the consent to a purpose, the target."""
        change = self._change(doing, visitor, doing.command.target, Decision.WITHDRAWN)
        return Done("withdrawn", [change])

    def object(self, _: Connection, doing: Doing, visitor: Visitor) -> Done:
        """Object to a purpose, the target (Art. 21 GDPR)."""
        change = self._change(doing, visitor, doing.command.target, Decision.OBJECTED)
        return Done("objected", [change])

    def hold(self, connection: Connection, doing: Doing, visitor: Visitor) -> Done | Later:
        """Restrict what is done with a visitor's data to storing it (Art. 18 GDPR)."""
        site, cookie_id = visitor
        hold_id, ground = doing.request.request_id, doing.request.ground or ""
        restriction = Hold(
            hold_id, Kind.RESTRICTION, None, site, cookie_id, None, ground, since=doing.at
        )
        if holds.place(connection, restriction):
            change = self._change(doing, visitor, RESTRICTION, Decision.GIVEN)
            outbox.append(connection, READER, [change])
        return self._facts(connection, doing, visitor, FactsAct.HOLD, "restricted")

    def lift(self, connection: Connection, doing: Doing, visitor: Visitor) -> Done:
        """Lift all restrictions of a visitor; facts go back where their day is still open."""
        if not self._end_holds(connection, doing, visitor, FactsAct.RELEASE):
            return Done("was not restricted")
        return Done("lifted", [self._change(doing, visitor, RESTRICTION, Decision.WITHDRAWN)])

    def erase(self, connection: Connection, doing: Doing, visitor: Visitor) -> Done | Later:
        """Withdraw everything, hold late events back, delete proof and facts (Art. 17 GDPR).

        Who was restricted is so no more: it is their own wish that ends it.
        """
        if visitor_facts.get(connection, doing.request.request_id, doing.number) is None:
            self._end_holds(connection, doing, visitor, FactsAct.DISCARD)
            outbox.append(connection, READER, self._erased(doing, visitor))
            consents.forget_proof(connection, *visitor)
        return self._facts(connection, doing, visitor, FactsAct.ERASE, "erased")

    def forget(self, connection: Connection, doing: Doing, visitor: Visitor) -> Done | Later:
        """Say that the erasure is over, when no event of before can come any more.

        The consent lane forgets the visitor then, and the compacted topic does too.
        """
        steps = requests.steps(connection, doing.request.request_id)
        erased = [each.done_at for each in steps if each.act == Act.ERASE_VISITOR and each.done_at]
        erased += [  # also by a later request
            each.occurred_at
            for each in consents.history(connection, *visitor)
            if (each.purpose, each.decision) == (ERASURE, Decision.GIVEN)
        ]
        if erased and doing.at < (due_at := max(erased) + LATE_MS):
            return Later(due_at)
        messages = [self._change(doing, visitor, ERASURE, Decision.WITHDRAWN)]
        site, cookie_id = visitor
        if holds.of_visitors(connection, site, [cookie_id]):  # asked for since
            messages.append(self._change(doing, visitor, RESTRICTION, Decision.GIVEN))
        return Done("forgotten", messages)

    def _erased(self, doing: Doing, visitor: Visitor) -> Iterator[outbox.Message]:
        """Yield the changes of an erasure: what was sent to providers falls due by the first."""
        for purpose in (*self._policy.purposes, RESTRICTION):
            yield self._change(doing, visitor, purpose, Decision.WITHDRAWN)
        yield self._change(doing, visitor, ERASURE, Decision.GIVEN)

    def _end_holds(
        self, connection: Connection, doing: Doing, visitor: Visitor, act: FactsAct
    ) -> bool:
        """Lift a visitor's restrictions, and have ``act`` done to the facts that they hold."""
        site, cookie_id = visitor
        found = holds.of_visitors(connection, site, [cookie_id]).get(cookie_id, [])
        for each in found:
            holds.lift(connection, each.hold_id, Whose.VISITOR)
            ending = VisitorAct(each.hold_id, END, act, site, None, doing.at)
            visitor_facts.ask(connection, ending)
        return bool(found)

    def _facts(
        self,
        connection: Connection,
        doing: Doing,
        visitor: Visitor,
        act: FactsAct,
        outcome: str,
    ) -> Done | Later:
        """Have something done to a visitor's facts, and wait until it is."""
        mine = doing.request.request_id, doing.number
        visitor_facts.ask(connection, VisitorAct(*mine, act, *visitor, doing.at))
        asked = visitor_facts.get(connection, *mine)
        if asked is None or asked.done_at is None:
            return look_again(doing)
        return Done(outcome)

    def _change(
        self, doing: Doing, visitor: Visitor, purpose: str, decision: Decision
    ) -> outbox.Message:
        """Return a change of consent; it has the same id each time the step is done."""
        site, cookie_id = visitor
        name = (doing.request.request_id, str(doing.number), purpose, decision)
        record = {
            "change_id": made_id("consent", *name),
            "site": site,
            "cookie_id": cookie_id,
            "purpose": purpose,
            "decision": decision.value,
            "notice_id": None,
            "notice_version": None,
            "language": None,
            "how": "api",
            "occurred_at": doing.at,
            "received_at": doing.at,
        }
        visitor_key = f"{site}|{cookie_id}".encode()
        return outbox.Message(self._changes, visitor_key, encode("consent_change", record))


def await_removals(connection: Connection, doing: Doing, visitor: Visitor) -> Done | Later:
    """Wait until providers have removed what can be removed, for as long as an answer is in time.

    What a provider refuses to remove, or keeps, is not awaited: its ``reached`` row is gone.
    """
    left = still_reached(connection, doing, visitor)
    if not left:
        return Done("removed at providers")
    later = look_again(doing)
    if later.due_at < doing.request.deadline - IN_TIME_MS:
        return later
    return Done(f"removal still open: {', '.join(left)}")


def still_reached(connection: Connection, doing: Doing, visitor: Visitor) -> list[str]:
    """Return the providers that have still to remove what the request ends."""
    steps = requests.steps(connection, doing.request.request_id)
    acts = {each.act for each in steps}
    withdrawn = {
        each.target for each in steps if each.act in {Act.WITHDRAW_PURPOSE, Act.OBJECT_PURPOSE}
    }
    everything = Act.ERASE_VISITOR in acts
    return sorted(
        provider
        for provider, purpose in reached.of_visitor(connection, *visitor)
        if everything or purpose in withdrawn
    )


def _of_visitor(act: Mine) -> Handler:
    def handler(connection: Connection, doing: Doing) -> Done | Later:
        visitor = visitor_of(doing.asked)
        return NOBODY if visitor is None else act(connection, doing, visitor)

    return handler
