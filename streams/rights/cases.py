"""Steps about a person's cases: erased, taken off lists, no longer processed further (S17, S20)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from privacy.durations import DAY_MS
from privacy.lifecycle import CaseState, ServiceEvent
from privacy.policy import Policy
from privacy.rights.plan import Act
from sinks.ledger import cases, deletion, holds, requests, suppressed, unsubscribed
from sinks.ledger.cases import Case
from streams.cases.transitions import Change, Transitions, keep
from streams.rights.doing import Doing, Done, Handlers, Later, Outsides, look_again

IN_TIME_MS = 3 * DAY_MS  # before its deadline a request is answered, whoever is still at work


class CaseActs:
    """Does the acts of which a case is the target, or that follow from them."""

    def __init__(self, policy: Policy, transitions: Transitions) -> None:
        self._policy = policy
        self._transitions = transitions

    def handlers(self) -> Handlers:
        """Return who does which act."""
        return {
            Act.END_CASE: self.end,
            Act.SUPPRESS: self.suppress,
            Act.UNSUBSCRIBE: self.unsubscribe,
            Act.WITHDRAW_FURTHER: self.withdraw_further,
            Act.AWAIT_DELETIONS: self.await_deletions,
        }

    def outside(self) -> Outsides:
        """Return nothing: all of it is in the ledger."""
        return {}

    def end(self, connection: Connection, doing: Doing) -> Done:
        """Have a case deleted, by what deletes cases whose service is over."""
        case = _present(connection, doing)
        if case is None:
            return Done("was over already")
        keep(connection, [self._transitions.erase(case, doing.request.request_id, doing.at)])
        return Done("deletion asked for")

    def suppress(self, connection: Connection, doing: Doing) -> Done:
        """Have what the person submitted before this and comes late end at once."""
        if doing.request.subject is None:
            return Done("nobody known by an address")
        suppressed.put(connection, doing.request.subject, doing.at, doing.request.request_id)
        return Done("late submissions end at once")

    def unsubscribe(self, connection: Connection, doing: Doing) -> Done:
        """Take the person off a list, the target, as its link does; the opt-out stays."""
        list_, subject = doing.command.target, doing.request.subject
        if subject is None:
            return Done("nobody known by an address")
        unsubscribed.add(connection, list_, subject, doing.at)
        services = [name for name, each in self._policy.services.items() if each.list == list_]
        mine = cases.of_subject(connection, subject, services, held=True)
        changes = self._let(connection, mine, ServiceEvent.UNSUBSCRIBED, doing)
        messages = [each for change in changes for each in change.messages]
        return Done(f"{len(changes)} subscriptions ended", messages)

    def withdraw_further(self, connection: Connection, doing: Doing) -> Done:
        """End what a case is kept for after its service is over."""
        case = _present(connection, doing)
        mine = [] if case is None else [case]
        changes = self._let(connection, mine, ServiceEvent.CONSENT_WITHDRAWN, doing)
        if not changes:
            return Done("nothing to end now")
        return Done("no longer processed further", changes[0].messages)

    def await_deletions(self, connection: Connection, doing: Doing) -> Done | Later:
        """Wait for the certificates of what is deleted, as long as the answer is in time."""
        steps = requests.steps(connection, doing.request.request_id)
        ended = [each.target for each in steps if each.act == Act.END_CASE]
        missing = deletion.unfinished(connection, ended)
        if missing and doing.at < doing.request.deadline - IN_TIME_MS:
            return look_again(doing)
        done = f"{len(ended) - missing} of {len(ended)} deletions certified"
        return Done(done)

    def _let(
        self, connection: Connection, some: Sequence[Case], event: ServiceEvent, doing: Doing
    ) -> list[Change]:
        """Apply an event to cases, or have it wait for what holds or keeps them (S21)."""
        cause_id = doing.request.request_id
        claimed = holds.claims(connection, [each.case_id for each in some])
        changes = []
        for case in some:
            change = self._transitions.after(case, event, cause_id, doing.at)
            ends = isinstance(change, Change) and change.deletion is not None
            if case.held is not None or (ends and case.case_id in claimed):
                waits = {"event_id": cause_id, "service": case.service, "event": event.value}
                holds.defer(connection, case.case_id, waits)
            elif isinstance(change, Change):
                changes.append(change)
        keep(connection, changes)
        return changes


def _present(connection: Connection, doing: Doing) -> Case | None:
    """Return the case that is the target, locked; None when it is over."""
    case = cases.locked(connection, [doing.command.target]).get(doing.command.target)
    return None if case is None or case.state is CaseState.ENDED else case
