"""Which events drive a case, and which end it: the life cycles of the services (S3, S5 to S7).

A case is one submission of a form. It ends when its service is done and no sooner than an event
says so; then it is deleted, and nothing leads out of ``ENDED``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from privacy.outcome import Reason


class LifeCycleName(StrEnum):
    """The kinds of services there are."""

    CONTEST = "contest"
    SAMPLE = "sample"
    INFORMATION = "information"
    EVENT = "event"
    REGISTRATION = "registration"
    INVITATION = "invitation"
    APPLICATION = "application"
    SURVEY = "survey"
    FEEDBACK = "feedback"
    SUBSCRIPTION = "subscription"


class ServiceEvent(StrEnum):
    """What departments and people tell of a case, or of a whole group of cases."""

    DELIVERED = "delivered"
    ANSWERED = "answered"
    EVENT_OVER = "event_over"
    EVENT_DELETED = "event_deleted"
    PROGRESSED = "progressed"
    REJECTED = "rejected"
    HIRED = "hired"
    WITHDRAWN = "withdrawn"
    PROCESS_ENDED = "process_ended"
    SURVEY_CLOSED = "survey_closed"
    CONSENT_WITHDRAWN = "consent_withdrawn"  # the separate one, to further processing
    CANCELLED = "cancelled"
    PROMOTED = "promoted"  # from the waiting list
    DECLINED = "declined"
    ACCEPTED = "accepted"
    UNSUBSCRIBED = "unsubscribed"
    NOTICED = "noticed"  # the subject was told


class CaseState(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    WAITING = "waiting"
    IN_PROCESS = "in_process"
    REJECTED = "rejected"
    HIRED = "hired"
    OVER = "over"
    KEPT = "kept"
    ENDED = "ended"


class NoticeKind(StrEnum):
    """What the subject of a case is told."""

    RECEIVED = "received"
    IN_PROCESS = "in_process"
    REJECTED = "rejected"
    HIRED = "hired"
    PROCESS_ENDED = "process_ended"
    REGISTERED = "registered"
    WAITING = "waiting"
    PROMOTED = "promoted"
    EVENT_DELETED = "event_deleted"
    INVITED = "invited"


Moves = Mapping[CaseState, Mapping[ServiceEvent, CaseState]]
"""From a state, by an event, to a state."""


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """One kind of service.

    ``kept_until`` is the retention rule in plain words (Art. 30(1)(f) GDPR). ``further`` are the
    moves, instead of the others, of a case with a separate consent to further processing (S7).
    ``notices`` name what is told after an event has led to a state; None: the case has begun.
    ``timeouts`` end a state by an event after so many milliseconds. ``group_events`` may close a
    whole group of cases.
    """

    kept_until: str
    moves: Moves
    further: Moves = field(default_factory=dict)
    notices: Mapping[tuple[ServiceEvent | None, CaseState], NoticeKind] = field(
        default_factory=dict
    )
    timeouts: Mapping[CaseState, tuple[int, ServiceEvent]] = field(default_factory=dict)
    group_events: frozenset[ServiceEvent] = frozenset()
    begins: CaseState = CaseState.OPEN

    @property
    def states(self) -> frozenset[CaseState]:
        """Every state that a case can be in."""
        moves = [*self.moves.items(), *self.further.items()]
        return frozenset(
            {state for state, _ in moves} | {after for _, by in moves for after in by.values()}
        )


def _ended_by(*events: ServiceEvent) -> dict[ServiceEvent, CaseState]:
    return dict.fromkeys(events, CaseState.ENDED)


def _asked(kept_until: str, closed_by: ServiceEvent) -> LifeCycle:
    """Return the life cycle of what people are asked, which a separate consent may outlast (S7)."""
    return LifeCycle(
        kept_until,
        moves={
            CaseState.OPEN: _ended_by(closed_by, ServiceEvent.WITHDRAWN),
            CaseState.KEPT: _ended_by(ServiceEvent.CONSENT_WITHDRAWN, ServiceEvent.WITHDRAWN),
        },
        further={
            CaseState.OPEN: {
                closed_by: CaseState.KEPT,
                # It goes on until it is closed; the consent is gone, so that it ends then.
                ServiceEvent.CONSENT_WITHDRAWN: CaseState.OPEN,
            }
        },
        group_events=frozenset({closed_by}),
    )


_NOTICED_MS = 60_000  # for the department to tell the applicant; then the case ends by itself

# What becomes of an application before the applicant knows the end of it.
_JUDGED = {
    ServiceEvent.PROGRESSED: CaseState.IN_PROCESS,
    ServiceEvent.REJECTED: CaseState.REJECTED,
    ServiceEvent.HIRED: CaseState.HIRED,
    ServiceEvent.WITHDRAWN: CaseState.ENDED,
    ServiceEvent.PROCESS_ENDED: CaseState.OVER,
}

LIFE_CYCLES: Mapping[LifeCycleName, LifeCycle] = {
    LifeCycleName.CONTEST: LifeCycle(
        "the prizes are delivered, or the entrant withdraws",
        moves={CaseState.OPEN: _ended_by(ServiceEvent.DELIVERED, ServiceEvent.WITHDRAWN)},
        group_events=frozenset({ServiceEvent.DELIVERED}),
    ),
    LifeCycleName.SAMPLE: LifeCycle(
        "the sample is delivered, or the request is withdrawn",
        moves={CaseState.OPEN: _ended_by(ServiceEvent.DELIVERED, ServiceEvent.WITHDRAWN)},
    ),
    LifeCycleName.INFORMATION: LifeCycle(
        "the request is answered or withdrawn",
        moves={CaseState.OPEN: _ended_by(ServiceEvent.ANSWERED, ServiceEvent.WITHDRAWN)},
    ),
    LifeCycleName.EVENT: LifeCycle(
        "the event is deleted",
        moves={
            CaseState.OPEN: {
                ServiceEvent.EVENT_OVER: CaseState.OVER,
                ServiceEvent.EVENT_DELETED: CaseState.ENDED,
            },
            CaseState.OVER: _ended_by(ServiceEvent.EVENT_DELETED),
        },
        group_events=frozenset({ServiceEvent.EVENT_OVER, ServiceEvent.EVENT_DELETED}),
    ),
    LifeCycleName.REGISTRATION: LifeCycle(
        "the event is over or deleted, or the registration is cancelled",
        moves={
            CaseState.OPEN: _ended_by(
                ServiceEvent.EVENT_OVER, ServiceEvent.EVENT_DELETED, ServiceEvent.CANCELLED
            ),
            CaseState.WAITING: {
                ServiceEvent.PROMOTED: CaseState.OPEN,
                **_ended_by(
                    ServiceEvent.EVENT_OVER, ServiceEvent.EVENT_DELETED, ServiceEvent.CANCELLED
                ),
            },
        },
        notices={
            (None, CaseState.OPEN): NoticeKind.REGISTERED,
            (None, CaseState.WAITING): NoticeKind.WAITING,
            (ServiceEvent.PROMOTED, CaseState.OPEN): NoticeKind.PROMOTED,
            (ServiceEvent.EVENT_DELETED, CaseState.ENDED): NoticeKind.EVENT_DELETED,
        },
        group_events=frozenset({ServiceEvent.EVENT_OVER, ServiceEvent.EVENT_DELETED}),
    ),
    LifeCycleName.INVITATION: LifeCycle(
        "the invitation is accepted or declined, or the event is deleted",
        moves={
            CaseState.OPEN: _ended_by(
                ServiceEvent.ACCEPTED, ServiceEvent.DECLINED, ServiceEvent.EVENT_DELETED
            )
        },
        notices={(None, CaseState.OPEN): NoticeKind.INVITED},
        group_events=frozenset({ServiceEvent.EVENT_DELETED}),
    ),
    LifeCycleName.APPLICATION: LifeCycle(
        "the applicant was rejected, or the process ended, and they were told; or they withdraw",
        moves={
            **dict.fromkeys((CaseState.OPEN, CaseState.IN_PROCESS), _JUDGED),
            # They are told, and end by themselves, also when the process ends meanwhile.
            **dict.fromkeys(
                (CaseState.REJECTED, CaseState.OVER),
                _ended_by(ServiceEvent.NOTICED, ServiceEvent.WITHDRAWN),
            ),
            CaseState.HIRED: _ended_by(ServiceEvent.WITHDRAWN, ServiceEvent.PROCESS_ENDED),
        },
        notices={
            (None, CaseState.OPEN): NoticeKind.RECEIVED,
            (ServiceEvent.PROGRESSED, CaseState.IN_PROCESS): NoticeKind.IN_PROCESS,
            (ServiceEvent.REJECTED, CaseState.REJECTED): NoticeKind.REJECTED,
            (ServiceEvent.HIRED, CaseState.HIRED): NoticeKind.HIRED,
            (ServiceEvent.PROCESS_ENDED, CaseState.OVER): NoticeKind.PROCESS_ENDED,
        },
        timeouts=dict.fromkeys(
            (CaseState.REJECTED, CaseState.OVER), (_NOTICED_MS, ServiceEvent.NOTICED)
        ),
        group_events=frozenset({ServiceEvent.PROCESS_ENDED}),
    ),
    LifeCycleName.SURVEY: _asked(
        "the survey is closed or the answer withdrawn; with a separate consent to further "
        "processing, until that is withdrawn",
        ServiceEvent.SURVEY_CLOSED,
    ),
    LifeCycleName.FEEDBACK: _asked(
        "the feedback is answered or withdrawn; with a separate consent to further processing, "
        "until that is withdrawn",
        ServiceEvent.ANSWERED,
    ),
    LifeCycleName.SUBSCRIPTION: LifeCycle(
        "the subscriber unsubscribes",
        moves={CaseState.OPEN: _ended_by(ServiceEvent.UNSUBSCRIBED)},
    ),
}


def step(
    name: LifeCycleName, state: CaseState, event: ServiceEvent, *, further: bool
) -> CaseState | Reason:
    """Return the state of a case after ``event``, or why the event is refused and changes nothing.

    ``further`` tells whether there is a separate consent to further processing. Whoever keeps it
    forgets it with a ``CONSENT_WITHDRAWN`` that is not refused (Art. 7(3) GDPR).
    """
    if state is CaseState.ENDED:
        return Reason.CASE_ENDED
    life_cycle = LIFE_CYCLES[name]
    moves = dict(life_cycle.moves.get(state, {}))
    if further:
        moves |= life_cycle.further.get(state, {})
    return moves.get(event, Reason.ILLEGAL_TRANSITION)
