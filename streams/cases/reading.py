"""What the cases lane reads: submissions and service events, checked against the policy."""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Message

from privacy.lifecycle import LIFE_CYCLES, ServiceEvent
from privacy.outcome import Reason, Reject
from privacy.policy import Service
from sinks.ledger.cases import Case
from streams.cases.records import milliseconds, text_of
from streams.lanes.readable import read

STEP = "read"


@dataclass(frozen=True, slots=True)
class Event:
    """One service event, of a case or of a whole group."""

    event_id: str
    service: str
    event: ServiceEvent
    case_id: str | None
    group_id: str | None


def read_submission(message: Message, services: Mapping[str, Service], at: int) -> Case | Reject:
    """Read a form submission as the case it begins, at ``at``; Reject when it cannot be one."""
    form = read("form_submission", message.value(), STEP)
    if isinstance(form, Reject):
        return form
    service = services.get(form["service"])
    if service is None:
        return Reject(Reason.UNKNOWN_SERVICE, STEP, ("service",))
    return Case(
        case_id=form["case_id"],
        service=form["service"],
        group_id=form["group"],
        site=form["site"],
        subject=form["subject"],
        state=LIFE_CYCLES[service.life_cycle].begins,
        language=form["language"],
        received_at=milliseconds(form["received_at"]),
        changed_at=at,
        due_at=None,
        key_version=form["key_version"],
        sealed=text_of(form["sealed"]),
        settings=form["settings"],
        further=form["further"],
    )


def read_event(message: Message, services: Mapping[str, Service]) -> Event | Reject:
    """Read a service event; Reject when it cannot be one, or is of neither a case nor a group."""
    event = read("service_event", message.value(), STEP)
    if isinstance(event, Reject):
        return event
    service = services.get(event["service"])
    if service is None:
        return Reject(Reason.UNKNOWN_SERVICE, STEP, ("service",))
    if (event["case_id"] is None) == (event["group"] is None):
        return Reject(Reason.UNKNOWN_CASE, STEP, ("case_id", "group"))
    return Event(
        event["event_id"],
        event["service"],
        ServiceEvent(event["event"]),
        event["case_id"],
        event["group"],
    )
