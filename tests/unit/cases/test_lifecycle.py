import pytest

from privacy.lifecycle import LIFE_CYCLES, CaseState, LifeCycleName, NoticeKind, ServiceEvent, step
from privacy.outcome import Reason


def after(name: str, *events: str, further: bool = False) -> CaseState | Reason:
    """Return where a new case of a life cycle is after events, or why one is refused."""
    cycle = LifeCycleName(name)
    state: CaseState | Reason = LIFE_CYCLES[cycle].begins
    for event in events:
        assert isinstance(state, CaseState)
        state = step(cycle, state, ServiceEvent(event), further=further)
    return state


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("contest", ["delivered"]),
        ("contest", ["withdrawn"]),
        ("sample", ["delivered"]),
        ("information", ["answered"]),
        ("event", ["event_deleted"]),
        ("event", ["event_over", "event_deleted"]),
        ("registration", ["event_over"]),
        ("registration", ["event_deleted"]),
        ("registration", ["cancelled"]),
        ("invitation", ["accepted"]),
        ("invitation", ["declined"]),
        ("invitation", ["event_deleted"]),
        ("application", ["process_ended", "noticed"]),
        ("application", ["progressed", "progressed", "hired", "process_ended"]),
        ("application", ["rejected", "noticed"]),
        ("application", ["progressed", "withdrawn"]),
        ("survey", ["survey_closed"]),
        ("feedback", ["answered"]),
        ("subscription", ["unsubscribed"]),
    ],
)
def test_s3_a_case_ends_when_its_service_is_done(name: str, events: list[str]) -> None:
    assert after(name, *events[:-1]) is not CaseState.ENDED
    assert after(name, *events) is CaseState.ENDED


def test_s3_an_invitation_and_the_event_outlast_the_day_a_registration_does_not() -> None:
    assert after("registration", "event_over") is CaseState.ENDED
    assert after("event", "event_over") is CaseState.OVER
    assert after("invitation", "event_over") is Reason.ILLEGAL_TRANSITION


@pytest.mark.parametrize("before", [(), ("progressed",)])
@pytest.mark.parametrize("end", [ServiceEvent.REJECTED, ServiceEvent.PROCESS_ENDED])
def test_s3_an_applicant_is_told_of_the_end_while_there_still_is_an_address(
    before: tuple[str, ...], end: ServiceEvent
) -> None:
    application = LIFE_CYCLES[LifeCycleName.APPLICATION]
    state = after("application", *before, end)
    assert isinstance(state, CaseState)
    assert state is not CaseState.ENDED
    assert application.notices[end, state] is NoticeKind(end)
    milliseconds, event = application.timeouts[state]
    assert milliseconds == 60_000
    assert after("application", *before, end, event) is CaseState.ENDED


def test_s3_an_applicant_who_is_to_be_told_of_a_rejection_outlasts_the_process() -> None:
    assert after("application", "rejected", "process_ended") is Reason.ILLEGAL_TRANSITION


def test_s3_an_applicant_is_told_every_status_that_leaves_an_address_to_tell_it_to() -> None:
    application = LIFE_CYCLES[LifeCycleName.APPLICATION]
    told = {state for _, state in application.notices}
    assert told == application.states - {CaseState.ENDED}


@pytest.mark.parametrize(
    ("name", "closed"), [("survey", "survey_closed"), ("feedback", "answered")]
)
def test_s7_a_separate_consent_keeps_an_answer_until_it_is_withdrawn(
    name: str, closed: str
) -> None:
    assert after(name, closed, further=True) is CaseState.KEPT
    for end in ("consent_withdrawn", "withdrawn"):
        assert after(name, closed, end, further=True) is CaseState.ENDED


def test_s7_a_consent_withdrawn_before_the_end_leaves_the_answer_until_then() -> None:
    assert after("survey", "consent_withdrawn", further=True) is CaseState.OPEN
    assert after("survey", "consent_withdrawn", further=False) is Reason.ILLEGAL_TRANSITION


def test_s7_a_consent_keeps_nothing_that_is_withdrawn_and_nothing_else() -> None:
    assert after("survey", "withdrawn", further=True) is CaseState.ENDED
    assert after("sample", "delivered", further=True) is CaseState.ENDED


def test_s6_who_waits_can_be_promoted_and_nobody_else() -> None:
    name = LifeCycleName.REGISTRATION
    promoted = step(name, CaseState.WAITING, ServiceEvent.PROMOTED, further=False)
    assert promoted is CaseState.OPEN
    assert after("registration", "promoted") is Reason.ILLEGAL_TRANSITION


def test_a_case_that_ended_says_so() -> None:
    assert after("sample", "delivered", "delivered") is Reason.CASE_ENDED


def test_a_contest_event_survey_or_vacancy_can_be_closed_as_a_whole() -> None:
    closed = {name.value: set(each.group_events) for name, each in LIFE_CYCLES.items()}
    assert {name: events for name, events in closed.items() if events} == {
        "contest": {"delivered"},
        "event": {"event_over", "event_deleted"},
        "registration": {"event_over", "event_deleted"},
        "invitation": {"event_deleted"},
        "application": {"process_ended"},
        "survey": {"survey_closed"},
        "feedback": {"answered"},
    }
