"""What a service event makes of a case, and who is told: no I/O, so that lane and closures agree.

The life cycles themselves are tables in ``privacy.lifecycle``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from privacy.certificate import ERASURE
from privacy.durations import HOUR_MS
from privacy.lifecycle import LIFE_CYCLES, CaseState, ServiceEvent, step
from privacy.outcome import Reason
from privacy.policy import Policy, Service
from privacy.signed import Keys
from privacy.unsubscribe import token
from sinks.ledger import cases
from sinks.ledger.cases import Case, Deletion
from sinks.ledger.outbox import Message
from streams import metrics
from streams.cases.records import case_record, notice_record, subscribed_record
from streams.ids import made_id


@dataclass(frozen=True, slots=True)
class Change:
    """A case as it is now, what is sent of it, and its deletion if it ended."""

    case: Case
    messages: Sequence[Message]
    deletion: Deletion | None


class Transitions:
    """The policy's services, and the topics that tell of their cases."""

    def __init__(
        self, policy: Policy, topic_of: Callable[[str], str], links: Callable[[], Keys]
    ) -> None:
        """Take ``topic_of`` to name a topic of the catalogue as the broker has it.

        ``links`` returns the keys of the links that end subscriptions.
        """
        self._policy = policy
        self._topic_of = topic_of
        self._links = links

    def enter(self, case: Case) -> Change:
        """Tell the departments of a new case, and its subject where the life cycle does.

        Of a subscription the mail system is told too, with the link that ends it (S5).
        """
        change = self._to(case, case.state, None, case.case_id, case.changed_at)
        list_ = self._policy.services[case.service].list
        if list_ is None:
            return change
        value = subscribed_record(case, list_, token(self._links(), case.case_id, case.service))
        told = Message(self._topic_of("mailing-changes"), case.case_id.encode(), value)
        return replace(change, messages=[*change.messages, told])

    def after(self, case: Case, event: ServiceEvent, cause_id: str, at: int) -> Change | Reason:
        """Return what ``event`` makes of a case at ``at``, or why it is refused.

        ``cause_id`` is the event's id.
        """
        life_cycle = self._policy.services[case.service].life_cycle
        state = step(life_cycle, case.state, event, further=case.further is not None)
        if isinstance(state, Reason):
            return state
        return self._to(case, state, event, cause_id, at)

    def erase(self, case: Case, request_id: str, at: int) -> Change:
        """Return the end of a case whose subject has it erased (S20; Art. 17 GDPR)."""
        ended = replace(case, state=CaseState.ENDED, changed_at=at, due_at=None)
        return Change(ended, (), self._deletion(ended, ERASURE, request_id))

    def told(self, case: Case) -> list[Message]:
        """Return what tells the departments of a case as it is, once more."""
        return list(self._told(case, self._policy.services[case.service]))

    def timeout(self, case: Case) -> ServiceEvent:
        """Return the event that ends the present state of a case by itself."""
        life_cycle = self._policy.services[case.service].life_cycle
        return LIFE_CYCLES[life_cycle].timeouts[case.state][1]

    def _to(
        self, case: Case, state: CaseState, event: ServiceEvent | None, cause_id: str, at: int
    ) -> Change:
        service = self._policy.services[case.service]
        life_cycle = LIFE_CYCLES[service.life_cycle]
        timeout = life_cycle.timeouts.get(state)
        now = replace(
            case,
            state=state,
            changed_at=at,
            due_at=None if timeout is None else at + timeout[0],
            further=None if event is ServiceEvent.CONSENT_WITHDRAWN else case.further,
        )
        ended = state is CaseState.ENDED
        messages = [] if ended else list(self._told(now, service))
        if (kind := life_cycle.notices.get((event, state))) is not None:
            value = notice_record(now, kind, cause_id)
            messages.append(Message(self._topic_of("notices"), case.case_id.encode(), value))
        deletion = self._deletion(now, event or "", cause_id) if ended else None
        return Change(now, messages, deletion)

    def again(self, connection: Connection, late: Sequence[Message]) -> Sequence[Message]:
        """Say what stands of cases of which departments were told too late what did before."""
        theirs = {self._topic_of(f"cases-{each}") for each in self._policy.departments}
        places = {(each.target, each.key): None for each in late if each.target in theirs}
        known = cases.locked(connection, {key.decode() for _, key in places})
        stands = {
            (message.target, message.key): message
            for case in known.values()
            for message in self._told(case, self._policy.services[case.service])
        }
        # Of what is over and not gone yet, its deletion has the last word.
        over = {each.case_id.encode() for each in known.values() if each.state is CaseState.ENDED}
        return [
            stands.get(place, Message(*place, None)) for place in places if place[1] not in over
        ]

    def _told(self, case: Case, service: Service) -> Iterator[Message]:
        for department in service.departments:
            yield Message(
                self._topic_of(f"cases-{department}"),
                case.case_id.encode(),
                case_record(case, department),
            )

    def _deletion(self, case: Case, cause: str, cause_id: str) -> Deletion:
        return deletion_of(
            self._policy, case.case_id, case.service,
            cause=cause, cause_id=cause_id, at=case.changed_at,
        )  # fmt: skip


def deletion_of(
    policy: Policy, case_id: str, service: str, *, cause: str, cause_id: str, at: int
) -> Deletion:
    """Return the deletion of a case of a service, asked for ``at`` (ms since 1970)."""
    rules = policy.services[service]
    return Deletion(
        deletion_id=made_id("deletion", case_id),
        case_id=case_id,
        service=service,
        departments=list(rules.departments),
        holders=list(policy.holders_of(service)),
        cause=cause,
        cause_id=cause_id,
        requested_at=at,
        deadline=at + rules.deadline_hours * HOUR_MS,
    )


def keep(connection: Connection, changes: Sequence[Change]) -> None:
    """Keep what cases have become; of one that changed twice, the last."""
    last = {each.case.case_id: each.case for each in changes}
    cases.move(connection, list(last.values()))
    cases.end(connection, [each.deletion for each in changes if each.deletion is not None])
    for each in changes:
        metrics.CASES_CHANGED.labels(each.case.service, each.case.state).inc()
