"""From submission to end: what the cases lane and the closures make of events (S3, S6, S7)."""

import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select, update

from privacy.durations import DAY_MS
from privacy.lifecycle import NoticeKind
from schemas.codec import decode
from sinks.ledger import jobs, outbox, tables
from sinks.ledger.inbox import Position
from streams.cases import closures, lane
from streams.cases.records import notice_record

Desk = Any
DEPARTMENTS = ("events", "sales")


def test_a_submission_begins_a_case_that_its_departments_are_told_of(desk: Desk) -> None:
    desk.submit("c-1", "samples", settings={"size": "small"})
    desk.run()
    assert desk.states() == {"c-1": "open"}
    for department in DEPARTMENTS:
        (told,) = desk.sent(f"cases-{department}", "case")
        assert told["department"] == department
        assert (told["state"], told["sealed"]) == ("open", {"email": b"\x00sealed"})
        assert told["settings"] == {"size": "small"}
    assert not desk.refused()


def test_an_event_that_ends_a_case_requests_its_deletion_from_the_holders(desk: Desk) -> None:
    desk.submit("c-1", "samples")
    desk.submit("c-2", "samples")
    event_id = desk.report("delivered", "samples", "c-1")
    desk.run()
    assert desk.states() == {"c-1": "ended", "c-2": "open"}
    (deletion,) = desk.deletions().values()
    assert deletion["case_id"] == "c-1"
    assert (deletion["cause"], deletion["cause_id"]) == ("delivered", event_id)
    assert deletion["departments"] == list(DEPARTMENTS)
    assert deletion["holders"] == ["crm"]
    assert deletion["deadline"] - deletion["requested_at"] == 24 * 3_600_000
    assert deletion["shredded_at"] is None


@pytest.mark.parametrize(
    ("event", "service", "case", "reason"),
    [
        ("hired", "samples", "c-1", "illegal_transition"),
        ("delivered", "samples", "c-9", "unknown_case"),
        ("answered", "jobs", "c-1", "unknown_case"),
        ("delivered", "gone", "c-1", "unknown_service"),
        ("delivered", "samples", "done", "case_ended"),
        ("delivered", "samples", "shredded", "case_ended"),
    ],
)
def test_an_illegal_or_late_event_is_refused_with_its_reason_and_changes_nothing(
    desk: Desk, event: str, service: str, case: str, reason: str
) -> None:
    for each in ("c-1", "done", "shredded"):
        desk.submit(each, "samples")
    desk.report("delivered", "samples", "done")
    desk.report("delivered", "samples", "shredded")
    desk.run()
    shred(desk, "shredded")
    before = desk.states(), desk.deletions(), desk.sent("cases-sales", "case")
    desk.report(event, service, case)
    desk.run()
    assert desk.refused() == [reason]
    assert (desk.states(), desk.deletions(), desk.sent("cases-sales", "case")) == before


def test_what_cannot_be_read_is_refused(desk: Desk) -> None:
    desk.broker.put("form-submissions", b"c-1", b"nothing of ours")
    desk.broker.put("service-events", b"c-1", None)
    desk.report("delivered", "samples")
    desk.report("delivered", "samples", "c-1", "both")
    desk.run()
    assert sorted(desk.refused()) == ["no_value", "unknown_case", "unknown_case", "wrong_magic"]


def test_an_application_is_told_each_status_and_ends_when_its_rejection_was_told(
    desk: Desk,
) -> None:
    desk.submit("c-1", "jobs", "clerk")
    desk.report("progressed", "jobs", "c-1")
    desk.report("rejected", "jobs", "c-1")
    desk.report("noticed", "jobs", "c-1")
    desk.run()
    told = [(each["kind"], each["state"]) for each in desk.sent("notices", "notice")]
    assert told == [
        ("received", "open"), ("in_process", "in_process"), ("rejected", "rejected"),
    ]  # fmt: skip
    assert len({each["notice_id"] for each in desk.sent("notices", "notice")}) == 3
    assert desk.states() == {"c-1": "ended"}
    assert [each["state"] for each in desk.sent("cases-sales", "case")] == [
        "open", "in_process", "rejected",
    ]  # fmt: skip


def test_a_rejected_application_ends_by_itself_after_a_minute(desk: Desk) -> None:
    desk.submit("c-1", "jobs")
    desk.report("rejected", "jobs", "c-1")
    desk.run()
    desk.now += 59_999
    desk.run()
    assert desk.states() == {"c-1": "rejected"}
    desk.now += 1
    desk.run()
    assert desk.states() == {"c-1": "ended"}
    assert desk.deletions()["c-1"]["cause"] == "noticed"
    desk.run()
    assert len(desk.deletions()) == 1


def test_a_survey_keeps_only_those_who_consented_to_further_processing(desk: Desk) -> None:
    further = {"notice_id": "poll", "notice_version": "1"}
    desk.submit("c-1", "poll", "2026")
    desk.submit("c-2", "poll", "2026", further=further)
    desk.run()
    desk.report("survey_closed", "poll", group="2026")
    desk.run()
    assert desk.states() == {"c-1": "ended", "c-2": "kept"}
    assert [each["state"] for each in desk.sent("cases-sales", "case")] == ["open", "open", "kept"]
    desk.report("consent_withdrawn", "poll", "c-2")
    desk.run()
    assert desk.states() == {"c-1": "ended", "c-2": "ended"}
    assert not desk.refused()


def test_a_consent_to_further_processing_that_is_withdrawn_outlasts_nothing(desk: Desk) -> None:
    """S7, S23: withdrawn while the survey is open, the case ends with the survey."""
    desk.submit("c-1", "poll", "2026", further={"notice_id": "poll", "notice_version": "1"})
    desk.report("consent_withdrawn", "poll", "c-1")
    desk.run()
    assert desk.states() == {"c-1": "open"}
    desk.report("survey_closed", "poll", group="2026")
    desk.run()
    assert desk.states() == {"c-1": "ended"}


def test_an_event_is_over_for_its_registrations_and_deleted_for_all(desk: Desk) -> None:
    """S6: the registration ends when the event is over, the rest when it is deleted."""
    desk.submit("event", "galas", "spring")
    desk.submit("guest", "gala-guests", "spring")
    desk.submit("friend", "gala-invitations", "spring")
    desk.submit("other", "gala-guests", "autumn")
    desk.run()
    over = desk.report("event_over", "galas", group="spring")
    desk.run()
    assert desk.states() == {
        "event": "over", "guest": "ended", "friend": "open", "other": "open",
    }  # fmt: skip
    assert job(desk, over).total == job(desk, over).done == 2
    deleted = desk.report("event_deleted", "galas", group="spring")
    desk.run()
    assert desk.states() == {
        "event": "ended", "guest": "ended", "friend": "ended", "other": "open",
    }  # fmt: skip
    assert job(desk, deleted).done == 2
    assert desk.deletions()["guest"]["cause_id"] == over
    desk.report("event_over", "galas", group="spring")
    desk.report("event_deleted", "galas", group="spring")
    desk.run()
    assert desk.refused() == ["case_ended", "case_ended"]


def test_what_happens_to_the_organiser_s_case_happens_to_the_event(desk: Desk) -> None:
    desk.submit("event", "galas", "spring")
    desk.submit("guest", "gala-guests", "spring")
    desk.submit("friend", "gala-invitations", "spring")
    desk.run()
    desk.report("event_deleted", "galas", "event")
    desk.run()
    assert set(desk.states().values()) == {"ended"}


def test_a_closing_is_done_though_a_case_ended_by_itself_meanwhile(
    desk: Desk, fill: Callable[..., list[str]]
) -> None:
    fill(3, "gala-guests", "spring")
    event_id = desk.report("event_over", "gala-guests", group="spring")
    desk.run(close=False)
    desk.report("cancelled", "gala-guests", "gala-guests-1")
    desk.run()
    assert (job(desk, event_id).total, job(desk, event_id).done) == (2, 2)
    assert not desk.refused()


def test_who_comes_after_a_group_was_closed_ends_at_once(desk: Desk) -> None:
    desk.submit("event", "galas", "spring")
    desk.report("event_over", "galas", group="spring")
    desk.run()
    desk.submit("guest", "gala-guests", "spring")
    desk.submit("friend", "gala-invitations", "spring")
    desk.run()
    assert desk.states() == {"event": "over", "guest": "ended", "friend": "open"}
    assert desk.deletions()["guest"]["cause"] == "event_over"
    assert [each["case_id"] for each in desk.sent("notices", "notice")] == ["friend"]


@pytest.mark.parametrize("event", ["delivered", "cancelled"])
def test_a_group_is_not_closed_by_what_ends_one_case(desk: Desk, event: str) -> None:
    desk.submit("guest", "gala-guests", "spring")
    event_id = desk.report(event, "gala-guests", group="spring")
    desk.run()
    assert desk.refused() == ["illegal_transition"]
    assert desk.states() == {"guest": "open"}
    refused = job(desk, event_id)
    assert refused.finished_at is not None
    assert refused.done < refused.total


def test_a_full_event_has_a_waiting_list_in_the_order_of_arrival(desk: Desk) -> None:
    """S6: attendance is limited, and a seat that becomes free goes to who waited longest."""
    desk.submit("event", "galas", "spring", settings={"capacity": "2"})
    desk.run()
    for each in ("ann", "ben", "cas", "dee"):
        desk.now += 1
        desk.submit(each, "gala-guests", "spring")
    desk.run()
    seats = {"event": "open", "ann": "open", "ben": "open", "cas": "waiting", "dee": "waiting"}
    assert desk.states() == seats
    desk.report("cancelled", "gala-guests", "ann")
    desk.report("cancelled", "gala-guests", "dee")
    desk.run()
    assert desk.states() == seats | {"ann": "ended", "cas": "open", "dee": "ended"}
    desk.submit("eve", "gala-guests", "spring")
    desk.report("cancelled", "gala-guests", "ben")
    desk.run()
    assert desk.states()["eve"] == "open"
    kinds = [(each["case_id"], each["kind"]) for each in desk.sent("notices", "notice")]
    assert kinds[:4] == [
        ("ann", "registered"), ("ben", "registered"), ("cas", "waiting"), ("dee", "waiting"),
    ]  # fmt: skip
    assert ("cas", "promoted") in kinds


def test_an_event_that_overtook_its_submission_waits_for_it(desk: Desk) -> None:
    desk.make_key("c-1")
    desk.report("delivered", "samples", "c-1")
    read_once(desk)
    assert not desk.refused()
    desk.submit("c-1", "samples", key=False)
    desk.run()
    assert desk.states() == {"c-1": "ended"}


def test_an_event_waits_for_long_while_submissions_are_unread(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an outage: an event that is old by then would be refused, and its case kept."""
    desk.submit("c-1", "samples")
    desk.report("delivered", "samples", "c-1")
    desk.now += 10 * lane.PATIENCE_MS
    member = type(desk.broker.consumer(lambda: None))
    real, turns = member.consume, count()

    def events_first(self: Any, most: int, wait: float) -> list[Any]:
        topics = self._topics
        if next(turns) < 4:
            self._topics = ["service-events"]
        found = real(self, most, wait)
        self._topics = topics
        return found

    monkeypatch.setattr(member, "consume", events_first)
    desk.run()
    assert desk.refused() == []
    assert desk.states() == {"c-1": "ended"}


def test_a_key_that_nobody_used_keeps_no_event_waiting_for_ever(desk: Desk) -> None:
    desk.make_key("c-1")
    desk.report("delivered", "samples", "c-1")
    desk.now += lane.PATIENCE_MS
    desk.run()
    assert desk.refused() == ["unknown_case"]


def test_a_submission_without_a_key_is_nobody_s(desk: Desk) -> None:
    desk.submit("c-1", "samples", key=False)
    desk.run()
    assert (desk.refused(), desk.states()) == (["unknown_case"], {})


def test_reading_everything_again_brings_nobody_back_and_says_nothing_new(desk: Desk) -> None:
    desk.submit("event", "galas", "spring", settings={"capacity": "1"})
    for each in ("ann", "ben", "cas"):
        desk.submit(each, "gala-guests", "spring")
    desk.submit("c-1", "samples")
    desk.submit("app", "jobs")
    desk.run()
    desk.report("cancelled", "gala-guests", "ann")
    desk.report("progressed", "jobs", "app")
    desk.report("hired", "samples", "c-1")
    desk.report("delivered", "samples", "c-1")
    desk.run()
    desk.report("event_over", "galas", group="spring")
    desk.run()
    shred(desk, "ann", "c-1")
    before = {topic: list(log) for topic, log in desk.broker.logs.items()}
    states, deletions = desk.states(), desk.deletions()
    for _ in range(2):
        desk.forget_positions()
        desk.run()
        desk.now += 1
    assert {topic: list(log) for topic, log in desk.broker.logs.items()} == before
    assert (desk.states(), desk.deletions()) == (states, deletions)


def test_the_same_event_and_submission_sent_twice_count_once(desk: Desk) -> None:
    desk.submit("app", "jobs")
    desk.submit("app", "jobs", key=False)
    desk.report("progressed", "jobs", "app", event_id="e")
    desk.report("progressed", "jobs", "app", event_id="e")
    desk.run()
    desk.report("progressed", "jobs", "app", event_id="e")
    desk.run()
    assert len(desk.sent("notices", "notice")) == 2
    assert len(desk.sent("cases-sales", "case")) == 2
    assert not desk.refused()


def test_a_closing_goes_on_where_it_was_interrupted(
    desk: Desk, fill: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closures, "AT_ONCE", 10)
    fill(25, "gala-guests", "spring")
    event_id = desk.report("event_over", "gala-guests", group="spring")
    desk.run(close=False)
    assert desk.closures.batch()
    assert (job(desk, event_id).done, job(desk, event_id).total) == (10, 25)
    with monkeypatch.context() as broken:
        broken.setattr(closures.jobs, "advance", lambda *_: 1 / 0)  # dies before the commit
        with pytest.raises(ZeroDivisionError):
            desk.closures.batch()
    assert len(desk.deletions()) == 10
    desk.run()
    assert job(desk, event_id).done == len(desk.deletions()) == 25
    assert job(desk, event_id).finished_at is not None


def test_one_closing_after_another_is_done_without_a_pause(desk: Desk) -> None:
    """A turn that finishes a job has done something: many groups may close at once."""
    groups = ("spring", "summer", "autumn")
    for group in groups:
        desk.submit(f"guest-of-{group}", "gala-guests", group)
    desk.run()
    for group in groups:
        desk.report("event_over", "gala-guests", group=group)
    desk.run(close=False)
    turns = 1
    while desk.closures.batch():
        turns += 1
    assert len(desk.deletions()) == 3
    assert turns == 2 * 3 + 1  # one that changes, one that finishes, and one without work


def test_a_closing_waits_for_what_the_lane_has_still_to_say_of_a_case(desk: Desk) -> None:
    """Or the older state would come last, and stand on the compacted topic."""
    desk.submit("event", "galas", "spring")
    desk.run()
    desk.report("event_over", "galas", group="spring")
    desk.run(close=False)
    leave_unsaid(desk, "event")
    assert not desk.closures.batch()
    assert desk.states() == {"event": "open"}
    with desk.ledger.transaction() as connection:
        connection.execute(tables.outbox.delete())
    desk.run()
    assert desk.states() == {"event": "over"}


def test_what_is_due_does_not_wait_for_a_closing_that_has_to(desk: Desk) -> None:
    desk.submit("app", "jobs", "clerk")
    desk.submit("event", "galas", "spring")
    desk.run()
    desk.report("process_ended", "jobs", group="clerk")
    desk.run()
    desk.report("event_over", "galas", group="spring")
    desk.run(close=False)
    leave_unsaid(desk, "event")
    desk.now += DAY_MS
    assert desk.closures.batch()
    assert desk.states() == {"app": "ended", "event": "open"}
    assert not desk.closures.batch()


def test_a_closing_tells_the_subject_what_the_life_cycle_says(desk: Desk) -> None:
    """Who was hired knows it; who was rejected is being told; the others, as long as they can."""
    for case_id in ("app", "hired", "rejected"):
        desk.submit(case_id, "jobs", "clerk")
    desk.run()
    for event in ("hired", "rejected"):
        desk.report(event, "jobs", case=event)
    desk.run()
    desk.report("process_ended", "jobs", group="clerk")
    desk.run()
    desk.run()
    told = [(each["case_id"], each["kind"]) for each in desk.sent("notices", "notice")]
    assert sorted(told) == [
        ("app", "process_ended"), ("app", "received"), ("hired", "hired"), ("hired", "received"),
        ("rejected", "received"), ("rejected", "rejected"),
    ]  # fmt: skip
    assert desk.states() == {"app": "over", "rejected": "rejected", "hired": "ended"}
    assert list(desk.deletions()) == ["hired"]
    desk.submit("late", "jobs", "clerk")
    desk.run()
    assert desk.states()["late"] == "over"


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_notice_fits_its_record(desk: Desk, kind: NoticeKind) -> None:
    desk.submit("c-1", "samples")
    desk.run()
    with desk.ledger.transaction() as connection:
        case = lane.cases.locked(connection, ["c-1"])["c-1"]
    assert decode("notice", notice_record(case, kind, "e-1"))["kind"] == kind


def test_jobs_are_forgotten_when_their_events_are_gone_from_the_topic(desk: Desk) -> None:
    desk.submit("c-1", "samples")
    event_id = desk.report("delivered", "samples", "c-1")
    desk.run()
    desk.now += closures.FORGET_AFTER_MS
    desk.closures.turn()
    assert job(desk, event_id)
    desk.now += closures.FORGET_EVERY_MS
    desk.closures.turn()
    assert job(desk, event_id) is None


def test_no_personal_data_shows(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.submit("c-1", "samples", subject="subject-of-ann")
    desk.report("hired", "samples", "c-1")
    desk.run()
    with desk.ledger.transaction() as connection:
        found = str(lane.cases.locked(connection, ["c-1"]))
    assert "sealed" not in found
    assert "subject-of-ann" not in found + caplog.text


def shred(desk: Desk, *case_ids: str) -> None:
    """Do what the shred loop does with ended cases."""
    with desk.ledger.transaction() as connection:
        for table in (tables.case_keys, tables.cases):
            connection.execute(table.delete().where(table.c.case_id.in_(case_ids)))
        gone = tables.deletions.c.case_id.in_(case_ids)
        connection.execute(update(tables.deletions).where(gone).values(shredded_at=desk.now))


def leave_unsaid(desk: Desk, case_id: str) -> None:
    """Have the lane still owe departments an older state of a case."""
    with desk.ledger.transaction() as connection:
        unsaid = outbox.Message("cases-sales", case_id.encode(), b"an older state")
        outbox.put(connection, "cases", Position("service-events", 0, 99), [unsaid])


def read_once(desk: Desk) -> None:
    """Run the lane until it has nothing left to read but what waits."""
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    found = lane.CasesLane(
        lane.Topics("form-submissions", "service-events", "dead-letters"),
        desk.policy,
        desk.transitions,
        desk.ledger,
        consumer=desk.broker.consumer(stop.set),
        producer=desk.broker.producer(),
        clock=lambda: desk.now,
    )
    found.run(stop)


def job(desk: Desk, job_id: str) -> Any:
    with desk.ledger.reading() as connection:
        return jobs.show(connection, job_id)


def test_the_events_that_were_handled_are_all_there(desk: Desk) -> None:
    desk.submit("c-1", "samples")
    desk.report("hired", "samples", "c-1")
    desk.report("delivered", "samples", "c-1")
    desk.run()
    with desk.ledger.reading() as connection:
        found = connection.execute(
            select(tables.jobs.c.event, tables.jobs.c.total, tables.jobs.c.done)
        ).all()
    assert sorted(map(tuple, found)) == [("delivered", 1, 1), ("hired", 1, 0)]
