"""What one transaction does to cases: begin some, drive others, close groups.

A case under a restriction is kept as it is: its events wait, nobody is told of it (S21). One that a
claim keeps is driven, but does not end (Art. 17(3)(e) GDPR).
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from privacy import attendance
from privacy.lifecycle import LIFE_CYCLES, CaseState, LifeCycleName, ServiceEvent, step
from privacy.outcome import Reason, Reject
from privacy.policy import Policy
from sinks.ledger import cases, groups, holds, jobs, people, suppressed, unsubscribed
from sinks.ledger.cases import Case
from sinks.ledger.groups import Group, Key
from sinks.ledger.jobs import Job
from sinks.ledger.outbox import Message
from streams.cases.reading import Event
from streams.cases.transitions import Change, Transitions, keep

STEP = "apply"
PROMOTED_AT_ONCE = 100

# An event is a group of cases of these: closing it by the first closes the others too.
OF_AN_EVENT = (LifeCycleName.EVENT, LifeCycleName.REGISTRATION, LifeCycleName.INVITATION)

Said = Sequence[Message] | Reject
"""What is to be sent of an input, or why it was refused."""


class Work:
    """Cases, groups and events of a batch; what became of them is kept by ``flush``."""

    def __init__(
        self, connection: Connection, policy: Policy, transitions: Transitions, at: int
    ) -> None:
        self._connection = connection
        self._policy = policy
        self._transitions = transitions
        self._at = at
        self._cases: dict[str, Case] = {}
        self._deleted: set[str] = set()
        self._keys: set[str] = set()
        self._groups: dict[Key, Group] = {}
        self._seats: dict[Key, Counter[CaseState]] = {}  # of groups with a capacity, when counted
        self._holds: dict[str, list[holds.Hold]] = {}
        self._claimed: set[str] = set()
        self._erased: dict[str, suppressed.Erasure] = {}
        self._handled: set[str] = set()
        self._new: list[str] = []
        self._changes: list[Change] = []
        self._jobs: list[Job] = []

    def load(
        self, submitted: Sequence[Case], events: Sequence[Event], case_ids: Collection[str] = ()
    ) -> None:
        """Read what a batch is about, and have others who would change it wait for our end."""
        connection = self._connection
        new = {each.case_id for each in submitted}
        ids = {*new, *case_ids, *(each.case_id for each in events if each.case_id is not None)}
        self._cases = cases.locked(connection, ids)
        self._deleted = cases.deleted(connection, ids)
        self._keys = cases.with_keys(connection, new)
        subjects = {each.subject for each in submitted if each.subject is not None}
        if subjects:
            people.share(connection)
        self._holds = holds.of_subject(connection, subjects)
        self._erased = suppressed.of(connection, subjects)
        self._claimed = holds.claims(connection, ids)
        self._handled = jobs.known(connection, {each.event_id for each in events})
        about: list[Case | Event] = [*submitted, *self._cases.values(), *events]
        keys = {
            (service, each.group_id)
            for each in about
            if each.group_id is not None
            for service in services_of(self._policy, each.service)
        }
        self._groups = groups.locked(connection, keys)

    def begin(self, case: Case) -> Said:
        """Begin a case, once; one that comes too late ends like those that were in time."""
        if case.case_id in self._cases or case.case_id in self._deleted:
            return ()
        if case.case_id not in self._keys:
            return Reject(Reason.UNKNOWN_CASE, STEP, ("case_id",))
        erased = self._erased.get(case.subject or "")
        if erased is not None and case.received_at <= erased.at:
            return self._begun(self._transitions.erase(case, erased.request_id, self._at))
        restrictions = self._holds.get(case.subject or "")
        if restrictions:
            case = replace(case, held=restrictions[0].hold_id)
            self._begun(self._entered(case))
            return ()  # nobody is told before it is lifted
        group = self._group(case)
        if (closed_by := self._closed_by(case, group)) is not None:
            closed = self._transitions.after(case, closed_by, case.case_id, self._at)
            if isinstance(closed, Change):
                return self._begun(closed)
        return self._begun(self._entered(case))

    def resume(self, case_id: str, waited: Sequence[Event], *, told: bool) -> Sequence[Message]:
        """Go on with a case whose restriction is over, and that was loaded.

        Departments are told of it again; a case that began under it is entered like a new one
        (``told`` False). Then comes what waited, in order, and what closed its group meanwhile.
        """
        case = self._cases[case_id]
        if case.state is CaseState.ENDED:
            return ()  # nobody is told of what was erased
        before = None if told else self._closed_by(case, self._group(case))
        tell = self._transitions.told(case) if told else self._transitions.enter(case).messages
        messages = list(tell)
        for event in waited:
            said = self._driven(event)
            messages += () if isinstance(said, Reject) else said
        case = self._cases[case_id]
        group = self._group(case)
        closed_by = before or (group.closed_by if group is not None else None)
        kept = group is not None and case_id in self._claimed  # it closes when it is released
        if closed_by is not None and case.state is not CaseState.ENDED and not kept:
            messages += self._let(case, closed_by, case_id)
        return messages

    def apply(self, event: Event) -> Said:
        """Apply an event, once: to its case at once, to its group by a job in batches."""
        if event.event_id in self._handled:
            return ()
        self._handled.add(event.event_id)
        event = self._of_group(event)
        return self._close(event) if event.case_id is None else self._drive(event)

    def flush(self) -> None:
        """Keep what the batch did."""
        cases.add(self._connection, [self._cases[each] for each in self._new])
        keep(self._connection, self._changes)
        jobs.begin(self._connection, self._jobs)
        self._new, self._changes, self._jobs = [], [], []

    def _of_group(self, event: Event) -> Event:
        """Have what happens to an organiser's case happen to the event: the two are one."""
        case = self._cases.get(event.case_id or "")
        if case is None or case.group_id is None or case.service != event.service:
            return event
        if self._policy.services[case.service].life_cycle is not LifeCycleName.EVENT:
            return event
        return replace(event, case_id=None, group_id=case.group_id)

    def _drive(self, event: Event) -> Said:
        said = self._driven(event)
        ended = isinstance(said, Reject) and said.reason is Reason.CASE_ENDED
        if ended and event.event is ServiceEvent.UNSUBSCRIBED:
            said = ()  # the link in an old mail, followed once more (RFC 8058)
        done = 0 if isinstance(said, Reject) else 1
        self._handle(event, total=1, done=done, finished=True)
        return said

    def _driven(self, event: Event) -> Said:
        case = self._of(event)
        if isinstance(case, Reject):
            return case
        if case.held is not None:
            return self._defer(case, event)
        change = self._transitions.after(case, event.event, event.event_id, self._at)
        if isinstance(change, Reason):
            return Reject(change, STEP, ("event",))
        if change.deletion is not None and case.case_id in self._claimed:
            return self._defer(case, event)
        return [*self._changed(case, change), *self._followed(case, change, event)]

    def _followed(self, case: Case, change: Change, event: Event) -> Iterator[Message]:
        """Do to others what follows from what an event made of a case."""
        if event.event is ServiceEvent.UNSUBSCRIBED:
            yield from self._unsubscribe(case, event.event_id)
        elif case.state is CaseState.OPEN and change.case.state is CaseState.ENDED:
            yield from self._promote(case, event.event_id)

    def _let(self, case: Case, event: ServiceEvent, cause_id: str) -> Sequence[Message]:
        """Have what ended others end a case too, or wait for the claim that keeps it."""
        change = self._transitions.after(case, event, cause_id, self._at)
        if isinstance(change, Reason):
            return ()
        if change.deletion is not None and case.case_id in self._claimed:
            return self._defer(case, Event(cause_id, case.service, event, case.case_id, None))
        return self._changed(case, change)

    def _of(self, event: Event) -> Case | Reject:
        """Return the case that an event is of, or why there is none."""
        case = self._cases.get(event.case_id or "")
        if case is None:
            deleted = event.case_id in self._deleted
            reason = Reason.CASE_ENDED if deleted else Reason.UNKNOWN_CASE
            return Reject(reason, STEP, ("case_id",))
        if case.service != event.service:
            return Reject(Reason.UNKNOWN_CASE, STEP, ("service",))
        return case

    def _defer(self, case: Case, event: Event) -> Sequence[Message]:
        """Have an event wait for the end of what holds its case."""
        waiting = {"event_id": event.event_id, "service": event.service, "event": event.event}
        holds.defer(self._connection, case.case_id, waiting)
        return ()

    def _close(self, event: Event) -> Said:
        """Close a group to those that come later, and leave those that are there to a job."""
        life_cycle = self._policy.services[event.service].life_cycle
        reached = LIFE_CYCLES[life_cycle].begins
        closed_by = self._groups[event.service, event.group_id or ""].closed_by
        if event.event not in LIFE_CYCLES[life_cycle].group_events:
            return self._refused(event, Reason.ILLEGAL_TRANSITION)
        if closed_by is not None:
            state = step(life_cycle, reached, closed_by, further=False)
            reached = state if isinstance(state, CaseState) else reached
        after = step(life_cycle, reached, event.event, further=False)
        if isinstance(after, Reason):
            return self._refused(event, after)
        self.flush()
        total = 0
        for service, state in concerned(self._policy, event.service, event.event):
            key = (service, event.group_id or "")
            total += cases.count(self._connection, *key, state, may_end=True)
            self._put(key, replace(self._groups[key], closed_by=event.event))
        self._handle(event, total=total, finished=not total)
        return ()

    def _refused(self, event: Event, reason: Reason) -> Reject:
        self._handle(event, total=1, finished=True)
        return Reject(reason, STEP, ("group", "event"))

    def _handle(self, event: Event, *, total: int, finished: bool, done: int = 0) -> None:
        """Note that an event was taken."""
        self._jobs.append(
            Job(
                job_id=event.event_id,
                service=event.service,
                group_id=event.group_id,
                event=event.event,
                total=total,
                done=done,
                begun_at=self._at,
                finished_at=self._at if finished else None,
            )
        )

    def _begun(self, change: Change) -> Sequence[Message]:
        self._new.append(change.case.case_id)
        return self._changed(None, change)

    def _entered(self, case: Case) -> Change:
        """Enter a case: with what its group chose, or what it chooses for its group."""
        group = self._group(case)
        life_cycle = self._policy.services[case.service].life_cycle
        if group is not None and life_cycle is LifeCycleName.EVENT:
            self._set_up(case)
        if group is not None and life_cycle is LifeCycleName.REGISTRATION:
            case = replace(case, state=self._seat(case, group))
        return self._transitions.enter(case)

    def _changed(self, before: Case | None, change: Change) -> Sequence[Message]:
        case = change.case
        self._cases[case.case_id] = case
        self._changes.append(change)
        if (seats := self._seats.get(_key(case))) is not None:
            seats[case.state] += 1
            if before is not None:
                seats[before.state] -= 1
        return change.messages

    def _closed_by(self, case: Case, group: Group | None) -> ServiceEvent | None:
        """Return what ended those that a case belongs to, before it was read or even sent.

        Who subscribes after they have unsubscribed is no longer kept off the list.
        """
        list_ = self._policy.services[case.service].list
        if list_ is not None and case.subject is not None:
            wanted = unsubscribed.lift(self._connection, list_, case.subject, case.received_at)
            return None if wanted else ServiceEvent.UNSUBSCRIBED
        return None if group is None else group.closed_by

    def _unsubscribe(self, case: Case, cause_id: str) -> Iterator[Message]:
        """Take somebody off a list, however often they have subscribed to it."""
        list_ = self._policy.services[case.service].list
        if list_ is None or case.subject is None:
            return
        unsubscribed.add(self._connection, list_, case.subject, self._at)
        self.flush()
        services = [name for name, each in self._policy.services.items() if each.list == list_]
        others = cases.of_subject(self._connection, case.subject, services)
        self._claimed |= holds.claims(self._connection, [each.case_id for each in others])
        for other in others:
            yield from self._let(other, ServiceEvent.UNSUBSCRIBED, cause_id)

    def _group(self, case: Case) -> Group | None:
        return None if case.group_id is None else self._groups[_key(case)]

    def _set_up(self, case: Case) -> None:
        """Let the registrations and invitations of an event know what its organiser chose."""
        capacity = attendance.choices(case.settings).capacity
        for service in services_of(self._policy, case.service):
            key = (service, case.group_id or "")
            self._put(key, replace(self._groups[key], capacity=capacity, settings=case.settings))

    def _put(self, key: Key, group: Group) -> None:
        self._groups[key] = group
        groups.put(self._connection, key, group)

    def _seat(self, case: Case, group: Group) -> CaseState:
        """Return how a registration begins: with a seat, or waiting for one."""
        if group.capacity is None:
            return case.state
        seats = self._counted(case)
        return attendance.begins(group.capacity, seats[CaseState.OPEN], seats[CaseState.WAITING])

    def _counted(self, case: Case) -> Counter[CaseState]:
        """Return how many registrations have a seat and how many wait; counted once a batch."""
        key = _key(case)
        if key not in self._seats:
            self.flush()
            self._seats[key] = Counter(
                {
                    state: cases.count(self._connection, *key, state)
                    for state in (CaseState.OPEN, CaseState.WAITING)
                }
            )
        return self._seats[key]

    def _promote(self, left: Case, cause_id: str) -> Iterator[Message]:
        """Give the seat that a case left to who has waited longest."""
        group = self._group(left)
        if group is None or group.capacity is None or group.closed_by is not None:
            return
        taken = self._counted(left)[CaseState.OPEN]
        self.flush()
        waiting = cases.waiting(self._connection, *_key(left), limit=PROMOTED_AT_ONCE)
        for first in attendance.promoted(group.capacity, taken, waiting):
            change = self._transitions.after(first, ServiceEvent.PROMOTED, cause_id, self._at)
            if isinstance(change, Change):
                yield from self._changed(first, change)


def _key(case: Case) -> Key:
    return case.service, case.group_id or ""


def services_of(policy: Policy, service: str) -> Collection[str]:
    """Return the services whose groups a service's group closes: an event's are its family's."""
    if policy.services[service].life_cycle is not LifeCycleName.EVENT:
        return (service,)
    return [name for name, each in policy.services.items() if each.life_cycle in OF_AN_EVENT]


def concerned(policy: Policy, service: str, event: ServiceEvent) -> Iterator[tuple[str, CaseState]]:
    """Yield services and the states of their cases that ``event`` of a group changes."""
    for name in services_of(policy, service):
        for state in CaseState:
            life_cycle = policy.services[name].life_cycle
            if not isinstance(step(life_cycle, state, event, further=False), Reason):
                yield name, state
