"""Steps that restrict what is done with a person's cases, and lift it (Art. 18 GDPR, S21)."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from privacy.lifecycle import ServiceEvent
from privacy.policy import Policy
from privacy.rights.plan import Act
from sinks.ledger import cases, holds
from sinks.ledger.holds import Hold, Kind, Whose
from sinks.ledger.outbox import Message
from streams.cases.reading import Event
from streams.cases.transitions import Transitions
from streams.cases.work import Work
from streams.rights.doing import Doing, Done, Handlers, Outsides

AT_ONCE = 500
NOBODY = Done("nobody known by an address")


class HoldActs:
    """Does the acts whose target is the person known by an e-mail address."""

    def __init__(self, policy: Policy, transitions: Transitions) -> None:
        self._policy = policy
        self._transitions = transitions

    def handlers(self) -> Handlers:
        """Return who does which act."""
        return {Act.HOLD_SUBJECT: self.hold, Act.LIFT_SUBJECT: self.lift}

    def outside(self) -> Outsides:
        """Return nothing: all of it is in the ledger."""
        return {}

    def hold(self, connection: Connection, doing: Doing) -> Done:
        """Keep a person's cases as they are, and those that come (``streams.cases.work``)."""
        subject, hold_id = doing.request.subject, doing.request.request_id
        if subject is None:
            return NOBODY
        ground = doing.request.ground or ""
        holds.place(
            connection,
            Hold(hold_id, Kind.RESTRICTION, subject, None, None, None, ground, since=doing.at),
        )
        return Done(f"{len(holds.hold_cases(connection, subject, hold_id))} cases held")

    def lift(self, connection: Connection, doing: Doing) -> Done:
        """Lift all restrictions of a person, and go on with their cases where they were."""
        subject = doing.request.subject
        if subject is None:
            return NOBODY
        found = holds.of_subject(connection, [subject]).get(subject, [])
        for each in found:
            holds.lift(connection, each.hold_id, Whose.SUBJECT)
        freed = sorted(
            case_id for each in found for case_id in holds.release_cases(connection, each.hold_id)
        )
        since = min((each.since for each in found), default=0)
        messages = resume(
            connection, self._policy, self._transitions, freed, doing.at, told_before=since
        )
        return Done(f"{len(freed)} cases released", messages)


def resume(
    connection: Connection,
    policy: Policy,
    transitions: Transitions,
    case_ids: Sequence[str],
    at: int,
    *,
    told_before: int,
) -> list[Message]:
    """Go on with cases that were freed, at ``at``; return what is to be sent.

    Cases that changed last before ``told_before`` are known to their departments, others to nobody.
    Times in milliseconds since 1970.
    """
    messages: list[Message] = []
    for start in range(0, len(case_ids), AT_ONCE):
        some = case_ids[start : start + AT_ONCE]
        waiting = holds.deferred(connection, some)
        holds.forget_deferred(connection, some)  # what a claim still keeps waits once more
        told = {
            case_id
            for case_id, case in cases.locked(connection, some).items()
            if case.changed_at < told_before
        }
        work = Work(connection, policy, transitions, at)
        work.load((), (), some)
        for case_id in some:
            events = [_event(case_id, each) for each in waiting.get(case_id, ())]
            messages += work.resume(case_id, events, told=case_id in told)
        work.flush()
    return messages


def _event(case_id: str, waited: Mapping[str, str]) -> Event:
    event = ServiceEvent(waited["event"])
    return Event(waited["event_id"], waited["service"], event, case_id, None)
