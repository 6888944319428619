"""Steps that ask holders outside, and wait for them (S17 to S19, S21; Art. 19 GDPR).

A demand is of one case and is made once, in the transaction that leaves its message in the outbox:
its key, for the holders it names and the rights engine, is there before anybody reads it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from sqlalchemy import Connection

from privacy.durations import HOUR_MS
from privacy.lifecycle import CaseState
from privacy.policy import Policy
from privacy.rights.correction import corrected
from privacy.rights.plan import Act
from schemas.codec import encode
from sinks.keys.demands import seal_told
from sinks.keys.seal import VERSION
from sinks.keys.vault import Vault
from sinks.ledger import cases, demands
from sinks.ledger.cases import Case
from sinks.ledger.demands import Demand, Kind
from sinks.ledger.outbox import Message
from streams.ids import made_id
from streams.keys.tokens import of_holder
from streams.rights.cases import IN_TIME_MS
from streams.rights.doing import Doing, Done, Handlers, Later, Outsides, look_again

# The topic and the record that tell of each kind, and what they have besides.
_TOLD: Mapping[Kind, tuple[str, str, Mapping[str, Any]]] = {
    Kind.CORRECTION: ("corrections", "correction", {"key_version": VERSION}),
    Kind.HOLD: ("holds", "hold", {"kind": "restriction"}),
    Kind.LIFT: ("holds", "hold", {"kind": "lifting"}),
    Kind.EXPORT: ("exports", "export", {}),
}
_SEALED = frozenset({Kind.CORRECTION, Kind.EXPORT})  # these have a key
_OF_ALL = ("demand_id", "request_id", "case_id", "service", "holders", "requested_at", "deadline")


class DemandActs:
    """Asks whoever the policy says holds data of a case's service."""

    def __init__(self, policy: Policy, vault: Vault, topic_of: Callable[[str], str]) -> None:
        """Take ``topic_of`` to name a topic of the catalogue as the broker has it."""
        self._policy = policy
        self._vault = vault
        self._topic_of = topic_of

    def handlers(self) -> Handlers:
        """Return who does which act."""
        return {
            Act.DEMAND_CORRECTION: partial(self.demand, Kind.CORRECTION),
            Act.DEMAND_HOLD: partial(self.demand, Kind.HOLD),
            Act.DEMAND_LIFT: partial(self.demand, Kind.LIFT),
            Act.DEMAND_EXPORT: partial(self.demand, Kind.EXPORT),
            Act.AWAIT_DEMANDS: wait,
        }

    def outside(self) -> Outsides:
        """Return nothing: the broker is told from the outbox."""
        return {}

    def demand(self, kind: Kind, connection: Connection, doing: Doing) -> Done:
        """Ask the holders of a case, the target; done at once where there are none.

        Raise KeyStoreError for a holder that has no key to wrap with.
        """
        case_id = doing.command.target
        case = cases.locked(connection, [case_id]).get(case_id)
        # What waited may have ended a case that is no longer held: its holders may erase it now.
        if case is None or (case.state is CaseState.ENDED and kind is not Kind.LIFT):
            return Done("was over already")
        holders = self._policy.holders_of(case.service)
        if not holders:
            return Done("no holder outside")
        demand = self._new(kind, case, holders, doing)
        asked = Done(f"asked of {', '.join(holders)}")
        if demands.asked(connection, [demand.demand_id]):
            return asked
        told = self._told(kind, case, doing)
        if kind is Kind.CORRECTION and not told:
            return Done("nothing that a holder could correct")
        content = {}
        if kind in _SEALED:
            readers = map(of_holder, holders)
            key = self._vault.make(connection, demand.demand_id, readers, doing.at)
            content = {"sealed": seal_told(key, demand.demand_id, told)} if told else {}
        demands.add(connection, [demand])
        return Done(asked.outcome, [self._message(demand, content)])

    def _told(self, kind: Kind, case: Case, doing: Doing) -> Mapping[str, str]:
        """Return what is told of a case besides which it is: of a correction, the new values."""
        if kind is not Kind.CORRECTION:
            return {}
        return corrected(self._policy.services[case.service], case.sealed, doing.asked).values

    def _new(self, kind: Kind, case: Case, holders: Sequence[str], doing: Doing) -> Demand:
        rules = self._policy.rights
        hours = 0 if rules is None else rules.holder_hours
        return Demand(
            demand_id=made_id("demand", doing.request.request_id, kind, case.case_id),
            request_id=doing.request.request_id,
            kind=kind,
            case_id=case.case_id,
            service=case.service,
            holders=list(holders),
            requested_at=doing.at,
            deadline=doing.at + hours * HOUR_MS,
        )

    def _message(self, demand: Demand, content: Mapping[str, Any]) -> Message:
        topic, record, more = _TOLD[demand.kind]
        told = {name: each for name, each in asdict(demand).items() if name in _OF_ALL}
        value = encode(record, {**told, **more, **content})
        return Message(self._topic_of(topic), demand.case_id.encode(), value)


def wait(connection: Connection, doing: Doing) -> Done | Later:
    """Wait for the holders until their deadline, and never so long that no answer is in time.

    Who did not answer is named; the demand stays open, and its holder is overdue.
    """
    mine = demands.of_request(connection, doing.request.request_id)
    late = unanswered(connection, mine)
    until = min(
        max((each.deadline for each in mine), default=0), doing.request.deadline - IN_TIME_MS
    )
    if late and doing.at < until:
        return Later(min(look_again(doing).due_at, until))
    done = sum(each.completed_at is not None for each in mine)
    said = f"{done} of {len(mine)} demands done"
    return Done(f"{said}; not answered by {', '.join(late)}" if late else said)


def unanswered(connection: Connection, of: Sequence[Demand]) -> list[str]:
    """Return the holders that have not done their part of some demands, by name."""
    waiting = [each for each in of if each.completed_at is None]
    said = demands.answers_of(connection, [each.demand_id for each in waiting])
    found = {holder for each in waiting for holder in demands.missing(each, said[each.demand_id])}
    return sorted(found)
