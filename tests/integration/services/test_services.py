"""Every service of the reference policy, from its form to the certificate of its deletion."""

import json
import urllib.request
from typing import Any

import pytest

from privacy.policy import Service
from tests.waiting import until

pytestmark = pytest.mark.broker

NOTICE = {"notice_id": "further", "notice_version": "1"}


def test_s1_a_form_that_lacks_a_mandatory_field_is_refused_by_its_name(company: Any) -> None:
    """Every mandatory field of every service; nothing is stored, and no value is told."""
    before = _submitted(company)
    for name, service in company.policy.services.items():
        for field in (each for each, rules in service.fields.items() if rules.mandatory):
            filled = company.fill_in(name, **{field: None})
            status, answer = company.post(name, {"fields": filled, **_group(service)})
            assert (status, [each["field"] for each in answer["problems"]]) == (422, [field])
            assert not [each for each in filled.values() if len(str(each)) > 8
                        and str(each) in json.dumps(answer)]  # fmt: skip
    assert _submitted(company) == before
    assert company.post("raffle", {"fields": {}})[0] == 404


def test_s2_only_the_departments_of_a_service_read_its_cases(company: Any) -> None:
    cases = {}
    for name, service in company.policy.services.items():
        if service.life_cycle != "event":  # others would heed what its organiser chose
            cases[name] = company.submit(name, **_group(service, "s2"))
    for name, case_id in cases.items():
        for department in company.policy.services[name].departments:
            company.sees_in(department, case_id, "open")
    for department in company.policy.departments:
        ours = {
            case_id
            for name, case_id in cases.items()
            if department in company.policy.services[name].departments
        }
        given = company.asks(department, list(cases.values()))
        assert {case_id for case_id, key in given.items() if key is not None} == ours
        assert company.sees(department).keys() & set(cases.values()) == ours
    asked = json.loads(company.lethe("keys", "uses", cases["contest"], "--format", "json"))
    assert {(each["department"], each["outcome"]) for each in asked} == {
        (each, "given" if each == "marketing" else "refused") for each in company.policy.departments
    }


def test_s3_a_contest_ends_when_the_prizes_are_delivered(company: Any) -> None:
    ours = [company.submit("contest", group="spring") for _ in range(3)]
    other = company.submit("contest", group="autumn")
    for each in (*ours, other):
        case = company.sees_in("marketing", each, "open")
        assert case.fields["of_age"] == "true"
        company.crm.keep(each, case.fields)
    company.report("delivered", "contest", group="spring")
    for each in ours:
        content = company.certified(each)
        assert content["cause"] == "delivered"
        assert [each["outcome"] for each in content["holders"]] == ["done"]
    assert company.crm.contacts().keys() & {*ours, other} == {other}
    assert other in company.sees("marketing")
    late = company.submit("contest", group="spring")  # who comes too late is not kept
    assert company.certified(late)["cause"] == "delivered"


def test_s3_a_sample_request_ends_with_its_delivery(company: Any) -> None:
    case_id = company.submit("sample-request", fields={"quantity": 2})
    fields = company.sees_in("sales", case_id, "open").fields
    assert fields["quantity"] == "2"
    assert all(fields[name] for name in ("first_name", "address", "email"))
    company.crm.keep(case_id, fields)
    company.report("delivered", "sample-request", case=case_id)
    content = company.certified(case_id)
    assert content["holders"][0]["holder"] == "crm"
    assert content["holders"][0]["outcome"] == "done"
    assert [each["step"] for each in content["steps"]] == ["shredded", "unreadable", "announced"]
    company.lethe("deletions", "certificate", case_id)


def test_s3_an_information_request_ends_with_the_answer(company: Any) -> None:
    """And so does what is kept of the e-mail address (the last of S3)."""
    case_id = company.submit("information-request")
    assert "@example.com" in company.sees_in("customer-care", case_id, "open").fields["email"]
    company.report("answered", "information-request", case=case_id)
    content = company.certified(case_id)
    assert (content["cause"], content["holders"][0]["outcome"]) == ("answered", "nothing_held")


def test_s3_what_belongs_to_an_event_ends_when_the_policy_says(company: Any) -> None:
    """Registrations when it is over, itself and invitations when it is deleted."""
    event = company.submit("event", group="gala", fields={"capacity": 5})
    company.sees_in("events", event, "open")
    guest = company.submit("event-registration", group="gala")
    invited = company.submit("event-invitation", group="gala")
    for each in (guest, invited):
        company.sees_in("events", each, "open")
    company.report("event_over", "event", group="gala")
    assert company.certified(guest)["cause"] == "event_over"
    _hears(company, guest, "registered")
    company.sees_in("events", event, "over")
    assert company.sees("events")[invited].state == "open"
    assert not company.deletions(invited)
    company.report("event_deleted", "event", group="gala")
    for each in (event, invited):
        assert company.certified(each)["cause"] == "event_deleted"
    _hears(company, invited, "invited")


def test_s3_an_event_that_is_deleted_takes_its_registrations_along(company: Any) -> None:
    event = company.submit("event", group="fair")
    company.sees_in("events", event, "open")
    guest = company.submit("event-registration", group="fair")
    company.sees_in("events", guest, "open")
    company.report("event_deleted", "event", case=event)
    assert company.certified(event)["cause"] == "event_deleted"
    assert company.certified(guest)["cause"] == "event_deleted"
    _hears(company, guest, "registered", "event_deleted")


def test_s3_an_applicant_who_is_rejected_is_told_and_then_deleted(company: Any) -> None:
    for before in ((), ("progressed",)):
        case_id = company.submit("job-application", group="clerk")
        company.sees_in("human-resources", case_id, "open")
        for event in (*before, "rejected"):
            company.report(event, "job-application", case=case_id)
        company.sees_in("human-resources", case_id, "rejected")
        _hears(company, case_id, "received", *["in_process" for _ in before], "rejected")
        assert not company.deletions(case_id)  # so that there is an address to tell it to
        company.report("noticed", "job-application", case=case_id)
        assert company.certified(case_id)["cause"] == "noticed"


def test_s3_applications_end_with_the_process_and_the_applicants_are_told(company: Any) -> None:
    hired = company.submit("job-application", group="cook")
    other = company.submit("job-application", group="cook")
    for each in (hired, other):
        company.sees_in("human-resources", each, "open")
    company.report("hired", "job-application", case=hired)
    company.sees_in("human-resources", hired, "hired")
    company.report("process_ended", "job-application", group="cook")
    content = company.certified(hired)
    assert (content["cause"], content["holders"]) == ("process_ended", [])
    _hears(company, hired, "received", "hired")
    company.sees_in("human-resources", other, "over")
    _hears(company, other, "received", "process_ended")
    assert not company.deletions(other)  # so that there is an address to tell it to
    company.report("noticed", "job-application", case=other)
    assert company.certified(other)["cause"] == "noticed"


def test_s4_what_is_processed_names_its_legal_basis(company: Any) -> None:
    """Every service and list, in the record of processing that the policy prints (Art. 30)."""
    register = company.lethe("policy", "register", "--format", "json")
    for each in (*company.policy.services.values(), *company.policy.lists.values()):
        assert each.legal_basis.startswith("Art. 6(1)(")
        assert json.dumps(each.legal_basis) in register
    assert company.policy.services["survey"].legal_basis.count("Art. 6(1)") == 2


def test_s5_a_newsletter_ends_with_one_click(company: Any) -> None:
    """The link is in what the mail system is told; to look at it changes nothing (RFC 8058)."""
    case_id = company.submit("newsletter")
    company.sees_in("marketing", case_id, "open")
    ((_, told),) = until(lambda: _mailing(company, case_id), "the mail system to be told")
    assert (told["list"], told["kind"]) == ("newsletter", "subscribed")
    port = company.settings.collector.port
    link = f"http://127.0.0.1:{port}/v1/unsubscribe/{told['token']}"
    with urllib.request.urlopen(link) as page:
        assert (page.status, b"<form" in page.read()) == (200, True)
    assert company.sees("marketing")[case_id].state == "open"
    for _ in range(2):  # some mail programs click twice
        with urllib.request.urlopen(link, b"List-Unsubscribe=One-Click") as page:
            assert page.status == 200
    content = company.certified(case_id)
    assert (content["cause"], content["holders"][0]["holder"]) == ("unsubscribed", "mail-system")
    changes = until(lambda: (all_ := _mailing(company, case_id))[1:] and all_, "the end to be told")
    assert [each.record["kind"] for each in changes] == ["subscribed", "unsubscribed"]


def test_s5_every_list_is_left_by_itself(company: Any) -> None:
    """By one who is on all of them, with the same address."""
    lists = {name: each.list for name, each in company.policy.services.items() if each.list}
    assert set(lists.values()) == company.policy.lists.keys()
    address = company.fill_in("newsletter")["email"]
    cases = {each: company.submit(each, fields={"email": address}) for each in lists}
    for service, case_id in cases.items():
        company.sees_in(company.policy.services[service].departments[0], case_id, "open")
    stays = cases.pop("newsletter")
    for service, case_id in cases.items():
        company.report("unsubscribed", service, case=case_id)
    for case_id in cases.values():
        assert company.certified(case_id)["cause"] == "unsubscribed"
    assert company.sees("marketing")[stays].state == "open"


def test_s6_the_organiser_decides_who_comes_and_who_sees_it(company: Any) -> None:
    """Capacity and waiting list; guest list, seats and badges by audience."""
    chosen = {"capacity": 2, "guest_list": "participants", "open_to": "public"}
    event = company.submit("event", group="dinner", fields=chosen)
    company.sees_in("events", event, "open")
    guests = []
    for number in range(4):
        state = "open" if number < 2 else "waiting"
        guests.append(company.submit("event-registration", group="dinner"))
        company.sees_in("events", guests[-1], state)
    names = [company.sees("events")[each].fields["last_name"] for each in guests]
    shown = ("dinner", "--service", "event-registration", "--department", "events")
    listed = ("events", "guest-list", *shown, "--format", "json", "--audience")
    seen = json.loads(company.lethe(*listed, "participants"))
    assert [each["last_name"] for each in seen] == names[:2]
    assert seen[0].keys() == {"first_name", "last_name", "company"}
    company.lethe(*listed, "public", code=1)
    company.report("cancelled", "event-registration", case=guests[0])
    company.certified(guests[0])
    company.sees_in("events", guests[2], "open")
    _hears(company, guests[2], "waiting", "promoted")
    seats = json.loads(company.lethe("events", "seats", *shown, "--format", "json"))
    assert [(each["seat"], each["last_name"]) for each in seats] == [(1, names[1]), (2, names[2])]
    company.report("event_deleted", "event", group="dinner")
    for each in (event, *guests[1:]):
        company.certified(each)


def test_s6_an_invitation_ends_when_it_is_answered(company: Any) -> None:
    """Also of somebody who is no user: nothing of them outlasts it."""
    for event in ("declined", "accepted"):
        invited = company.submit("event-invitation", group="picnic")
        company.sees_in("events", invited, "open")
        company.report(event, "event-invitation", case=invited)
        assert company.certified(invited)["cause"] == event


def test_s7_a_survey_ends_when_it_is_closed_unless_somebody_agreed_to_more(company: Any) -> None:
    ends = company.submit("survey", group="2026")
    kept = company.submit("survey", group="2026", further_processing=NOTICE)
    for each in (ends, kept):
        company.sees_in("research", each, "open")
    company.report("survey_closed", "survey", group="2026")
    assert company.certified(ends)["cause"] == "survey_closed"
    assert company.sees_in("research", kept, "kept").fields["rating"] == "1"
    assert not company.deletions(kept)
    company.report("consent_withdrawn", "survey", case=kept)
    assert company.certified(kept)["cause"] == "consent_withdrawn"


def test_s7_feedback_ends_with_the_answer_unless_somebody_agreed_to_more(company: Any) -> None:
    """Also of somebody who left no address."""
    ends = company.submit("feedback", fields={"email": None})
    kept = company.submit("feedback", further_processing=NOTICE)
    for each in (ends, kept):
        company.sees_in("customer-care", each, "open")
        company.report("answered", "feedback", case=each)
    assert company.certified(ends)["cause"] == "answered"
    company.sees_in("customer-care", kept, "kept")
    company.report("withdrawn", "feedback", case=kept)
    assert company.certified(kept)["cause"] == "withdrawn"


def _group(service: Service, name: str = "any") -> dict[str, str]:
    return {"group": name} if service.group == "required" else {}


def _hears(company: Any, case_id: str, *kinds: str) -> None:
    """Wait until the subject of a case was told this, which is sent after the case itself."""
    until(
        lambda: company.notices(case_id) == [*kinds],
        lambda: f"{', '.join(kinds)}; what was told: {company.notices(case_id)}",
    )


def _mailing(company: Any, case_id: str) -> list[Any]:
    told = company.messages("mailing-changes", "mailing_change")
    return [each for each in told if each.key == case_id]


def _submitted(company: Any) -> list[str]:
    """Return the cases of all submissions; partitions are read in any order."""
    return sorted(each.key for each in company.messages("form-submissions", "form_submission"))
