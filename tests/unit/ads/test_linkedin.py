"""LinkedIn: its requests, its limits and traps, and what its answers mean."""

import json
import logging
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.standins.desk import Answer, Call
from lethe.standins.linkedin import LinkedIn as StandIn
from privacy.ads import AdEvent, Contact
from privacy.outcome import Reason
from sinks.ads.contract import Connector, Outcome, Request, Response, Verdict
from sinks.ads.linkedin import MAX_AGE, MAX_AHEAD, Account, LinkedIn

NOW = 1_795_510_000_000  # 2026-11-24T08:46:40Z
CLICK = "1f0d9a44-8a6e-4c1f-9d0b-2f6f3f1f7a10"
ANNA = Contact(email="anna@example.com")
ANNA_HASHED = sha256(b"anna@example.com").hexdigest()
TOKEN = "linkedin-token"

LINKEDIN: Connector = LinkedIn(Account(), lambda: TOKEN)
EVENT = AdEvent("e-1", "shop.example", "v-1", NOW, 1, conversion="123", ids={"li_fat_id": CLICK})
MEMBER = AdEvent("m-1", "shop.example", "v-1", NOW, 1, audience="77", contact=ANNA)


def sent(*events: AdEvent) -> Any:
    return json.loads(LINKEDIN.build_request(events, NOW, "n").body)["elements"]


def call(request: Request, began: int = NOW) -> Call:
    return Call(
        "linkedin",
        began,
        request.method,
        urlsplit(request.url).path,
        {},
        {name.lower(): value for name, value in request.headers.items()},
        json.loads(request.body),
        len(request.body),
    )


def answered(answer: Answer, **headers: str) -> Response:
    named = {**answer.headers, **headers}
    lower = {name.lower().replace("_", "-"): value for name, value in named.items()}
    body = b"" if answer.content is None else json.dumps(answer.content).encode()
    return Response(answer.status, lower, body)


def judge(status: int, content: object = None, count: int = 3, **headers: str) -> Outcome:
    return LINKEDIN.read_response(answered(Answer(status, content), **headers), count)


# What is sent.


def test_a_conversion_says_which_rule_when_and_after_which_click_and_no_more() -> None:
    full = replace(EVENT, user_agent="Browser/1", ids={**EVENT.ids, "gclid": "g", "twclid": "t"})
    request = LINKEDIN.build_request([full], NOW, "n")
    assert (request.method, request.url) == (
        "POST",
        "https://api.linkedin.com/rest/conversionEvents",
    )
    assert request.headers == {
        "Authorization": "Bearer linkedin-token",
        "Content-Type": "application/json",
        "LinkedIn-Version": "202608",
        "X-Restli-Protocol-Version": "2.0.0",
        "X-RestLi-Method": "BATCH_CREATE",
    }
    assert request.body.decode() == (
        '{"elements":[{"conversion":"urn:lla:llaPartnerConversion:123",'
        '"conversionHappenedAt":1795510000000,"user":{"userIds":[{"idType":'
        f'"LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID","idValue":"{CLICK}"'
        '}]},"eventId":"e-1"}]}'
    )


def test_a_member_is_added_and_removed_by_the_hashed_address() -> None:
    ids = [{"idType": "SHA256_EMAIL", "idValue": ANNA_HASHED}]
    for event, action in ((MEMBER, "ADD"), (LINKEDIN.removal(MEMBER), "REMOVE")):
        assert event is not None
        request = LINKEDIN.build_request([event], NOW, "n")
        assert request.url == "https://api.linkedin.com/rest/dmpSegments/77/users"
        assert json.loads(request.body) == {"elements": [{"action": action, "userIds": ids}]}


def test_the_same_events_make_the_same_request() -> None:
    assert LINKEDIN.build_request([EVENT], NOW, "a") == LINKEDIN.build_request([EVENT], NOW, "a")


def test_version_and_address_are_settings() -> None:
    other = LinkedIn(Account("http://127.0.0.1:1", "202610"), lambda: TOKEN)
    request = other.build_request([EVENT], NOW, "n")
    assert request.url == "http://127.0.0.1:1/rest/conversionEvents"
    assert request.headers["LinkedIn-Version"] == "202610"


@pytest.mark.parametrize("spelling", ["123", "urn:lla:llaPartnerConversion:123"])
def test_a_rule_may_be_spelled_as_id_or_urn(spelling: str) -> None:
    event = replace(EVENT, conversion=spelling)
    assert LINKEDIN.refusal(event, NOW) is None
    assert sent(event)[0]["conversion"] == "urn:lla:llaPartnerConversion:123"


def test_the_address_is_trimmed_and_lower_cased_before_hashing() -> None:
    event = replace(EVENT, ids={}, contact=Contact(email=" An na@Example.COM\t"))
    assert sent(event)[0]["user"]["userIds"] == [{"idType": "SHA256_EMAIL", "idValue": ANNA_HASHED}]


def test_a_hash_is_not_hashed_again() -> None:
    event = replace(EVENT, ids={}, contact=Contact(email=ANNA_HASHED.upper()))
    assert LINKEDIN.refusal(event, NOW) is None
    assert sent(event)[0]["user"]["userIds"][0]["idValue"] == ANNA_HASHED


def test_gmail_dots_are_kept() -> None:
    event = replace(EVENT, contact=Contact(email="an.na+x@gmail.com"))
    wanted = sha256(b"an.na+x@gmail.com").hexdigest()
    assert sent(event)[0]["user"]["userIds"][1]["idValue"] == wanted


@pytest.mark.parametrize("last_name", [None, "Example"])
def test_names_which_linkedin_takes_in_clear_only_are_not_sent(last_name: str | None) -> None:
    """One name alone would be refused as well."""
    contact = replace(ANNA, first_name="Anna", last_name=last_name, country="BE")
    request = LINKEDIN.build_request([replace(EVENT, contact=contact)], NOW, "n")
    assert b"userInfo" not in request.body
    assert b"Anna" not in request.body


def test_one_event_for_several_rules_keeps_its_own_data() -> None:
    events = [replace(EVENT, conversion=str(rule), occurred_at=NOW - rule) for rule in (5, 6)]
    assert [(each["conversion"][-1], each["conversionHappenedAt"]) for each in sent(*events)] == [
        ("5", NOW - 5),
        ("6", NOW - 6),
    ]


def test_a_segment_does_not_share_a_request() -> None:
    other = replace(MEMBER, audience="78")
    assert len({LINKEDIN.group(each) for each in (EVENT, MEMBER, other)}) == 3
    assert LINKEDIN.group(EVENT) == LINKEDIN.group(replace(EVENT, conversion="9"))


def test_no_secret_and_no_visitor_shows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    request = LINKEDIN.build_request([EVENT], NOW, "n")
    assert TOKEN not in repr(request) + repr(LINKEDIN) + request.url + caplog.text
    assert b"v-1" not in request.body


# What is refused before it is sent.


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conversion": None}, Reason.NO_TARGET),
        ({"conversion": None, "page": "https://shop.example/"}, Reason.NO_TARGET),
        ({"conversion": "lead"}, Reason.NO_TARGET),
        ({"conversion": "1\n"}, Reason.NO_TARGET),
        ({"conversion": "urn:lla:llaPartnerConversion:"}, Reason.NO_TARGET),
        ({"ids": {}}, Reason.NO_IDENTIFIER),
        ({"ids": {"gclid": "g"}, "user_agent": "Browser/1"}, Reason.NO_IDENTIFIER),
        ({"ids": {}, "contact": Contact(phone="+3225550100")}, Reason.NO_IDENTIFIER),
        ({"ids": {"li_fat_id": "anna@example.com"}}, Reason.BAD_IDENTIFIER),
        ({"ids": {"li_fat_id": "999.999.999.999"}}, Reason.BAD_IDENTIFIER),
        ({"contact": Contact(email="anna")}, Reason.BAD_IDENTIFIER),
        ({"occurred_at": NOW - MAX_AGE - 1}, Reason.TOO_OLD),
        ({"occurred_at": NOW - MAX_AGE}, None),
        ({"occurred_at": NOW // 1000}, Reason.TOO_OLD),  # seconds for milliseconds
        ({"occurred_at": NOW + MAX_AHEAD + 1}, Reason.TOO_NEW),
        ({"occurred_at": NOW + MAX_AHEAD}, None),
    ],
)
def test_a_conversion_linkedin_would_refuse_is_not_sent(
    change: dict[str, Any], reason: Reason | None
) -> None:
    assert LINKEDIN.refusal(replace(EVENT, **change), NOW) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"occurred_at": NOW - 2 * MAX_AGE}, None),
        ({"audience": "b2b"}, Reason.NO_TARGET),
        ({"audience": "77/../78"}, Reason.NO_TARGET),
        ({"contact": None}, Reason.NO_IDENTIFIER),
        ({"contact": None, "ids": {"li_fat_id": CLICK}}, Reason.NO_IDENTIFIER),
        ({"contact": Contact(email="a@b@c")}, Reason.BAD_IDENTIFIER),
    ],
)
def test_a_member_needs_an_address(change: dict[str, Any], reason: Reason | None) -> None:
    assert LINKEDIN.refusal(replace(MEMBER, **change), NOW) == reason


# What the answers mean.


def test_all_201_is_delivered() -> None:
    assert judge(200, {"elements": [{"status": 201}] * 3}) == Outcome(Verdict.DELIVERED, "200")


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "nonsense",
        {"elements": [{"status": 201}] * 2},
        {"elements": [201, 201, 201]},
    ],
)
def test_a_success_that_does_not_say_so_of_each_is_uncertain(content: object) -> None:
    outcome = judge(200, content)
    assert (outcome.verdict, outcome.each) == (Verdict.UNCERTAIN, ())


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (400, Verdict.REFUSED),
        (422, Verdict.REFUSED),
        (429, Verdict.THROTTLED),
        (500, Verdict.RETRY),
        (504, Verdict.UNCERTAIN),
        (None, Verdict.UNCERTAIN),
        ("201", Verdict.UNCERTAIN),
        (0, Verdict.UNCERTAIN),
    ],
)
def test_where_some_are_taken_each_is_judged_by_its_own_status(
    status: object, verdict: Verdict
) -> None:
    """Whoever was created is not sent again: LinkedIn would count them twice."""
    told = [{"status": 201}, {"status": status, "message": "anna@example.com"}, {"status": 403}]
    outcome = judge(200, {"elements": told})
    assert outcome.verdict == Verdict.UNCERTAIN  # for who does not look at each
    assert outcome.each == (Verdict.DELIVERED, verdict, Verdict.REFUSED)
    assert "anna" not in repr(outcome)


def test_the_code_is_that_of_the_first_that_was_not_taken() -> None:
    told = [{"status": 201}, {"status": 422}, {"status": 500}]
    assert judge(200, {"elements": told}).code == "422"


def test_422_names_the_guilty_and_their_neighbours_are_innocent() -> None:
    message = (
        "Index: 2, ERROR :: /conversionValue/amount :: field is required\n"
        "ERROR :: /user/userInfo/firstName :: field is required\nIndex: 0, ERROR :: /x :: y\n"
    )
    outcome = judge(422, {"status": 422, "message": message})
    assert (outcome.verdict, outcome.guilty) == (Verdict.REFUSED, (0, 2))


def test_400_names_the_guilty_as_indices() -> None:
    message = "Conversion's method should be CONVERSIONS_API, indices [0, 2] (0-indexed)"
    assert judge(400, {"status": 400, "message": message}).guilty == (0, 2)


def test_places_outside_the_batch_are_nobody() -> None:
    assert judge(422, {"message": "Index: 3, ERROR :: indices [7, 99999999]"}).guilty == ()


@pytest.mark.parametrize(
    ("status", "content", "verdict", "code"),
    [
        (400, {"code": "VERSION_MISSING"}, Verdict.STOPPED, "VERSION_MISSING"),
        (400, {"message": "no place named"}, Verdict.REFUSED, "400"),
        (401, {"serviceErrorCode": 65600}, Verdict.UNAUTHORISED, "65600"),
        (401, {"serviceErrorCode": 65601}, Verdict.STOPPED, "65601"),
        (401, None, Verdict.UNAUTHORISED, "401"),
        (403, {"message": "No ad accounts found"}, Verdict.REFUSED, "403"),
        (403, {"serviceErrorCode": 100, "code": "ACCESS_DENIED"}, Verdict.STOPPED, "100"),
        (404, None, Verdict.RETRY, "404"),
        (405, None, Verdict.STOPPED, "405"),
        (301, None, Verdict.STOPPED, "301"),
        (413, None, Verdict.REFUSED, "413"),
        (426, {"code": "NONEXISTENT_VERSION"}, Verdict.STOPPED, "NONEXISTENT_VERSION"),
        (429, None, Verdict.THROTTLED, "429"),
        (500, "<html>", Verdict.RETRY, "500"),
        (503, None, Verdict.RETRY, "503"),
        (504, None, Verdict.UNCERTAIN, "504"),
    ],
)
def test_errors_are_told_by_code_and_status(
    status: int, content: object, verdict: Verdict, code: str
) -> None:
    outcome = judge(status, content)
    assert (outcome.verdict, outcome.code) == (verdict, code)


@pytest.mark.parametrize(
    ("given_", "wait"), [("7", 7.0), ("soon", None), ("-1", None), ("999999999", 86_400.0)]
)
def test_retry_after_is_honoured_where_it_is_given(given_: str, wait: float | None) -> None:
    assert judge(429, None, Retry_After=given_).wait == wait


def test_an_answer_that_echoes_an_identifier_leaves_no_trace() -> None:
    outcome = judge(422, {"code": "anna@example.com", "message": "anna@example.com Index: 1"})
    assert "anna" not in repr(outcome)


def test_linkedin_never_asks_to_be_asked_again() -> None:
    with pytest.raises(NotImplementedError):
        LINKEDIN.build_poll("ticket")
    with pytest.raises(NotImplementedError):
        LINKEDIN.read_poll(Response(200, {}, b""), 1)


# The connector against the stand-in.

ADDRESSES = st.one_of(st.none(), st.emails(), st.text(max_size=70), st.just(ANNA_HASHED))
EVENTS = st.builds(
    AdEvent,
    event_id=st.text(min_size=1),
    site=st.just("shop.example"),
    visitor=st.text(),
    occurred_at=st.integers(NOW - MAX_AGE - 1000, NOW + 2 * MAX_AHEAD),
    epoch=st.just(1),
    conversion=st.sampled_from(["1", "urn:lla:llaPartnerConversion:23", "x", ""]),
    ids=st.sampled_from([{}, {"li_fat_id": CLICK}, {"li_fat_id": "junk"}]),
    contact=st.one_of(st.none(), st.builds(Contact, email=ADDRESSES, first_name=st.text())),
)
MEMBERS = st.builds(
    replace,
    EVENTS,
    conversion=st.none(),
    audience=st.sampled_from(["77", "x"]),
)


@given(st.lists(st.one_of(EVENTS, MEMBERS), max_size=8))
def test_what_passes_the_refusal_is_taken(events: list[AdEvent]) -> None:
    """And so is its removal, where there is one."""
    batches: dict[object, list[AdEvent]] = {}
    for event in events:
        if LINKEDIN.refusal(event, NOW) is None:
            for each in filter(None, (event, LINKEDIN.removal(event))):
                assert LINKEDIN.refusal(each, NOW) is None
                batches.setdefault(LINKEDIN.group(each), []).append(each)
    for batch in batches.values():
        standin = StandIn()
        serve = standin.conversions if batch[0].audience is None else standin.users
        answer = serve(call(LINKEDIN.build_request(batch, NOW, "n")))
        assert LINKEDIN.read_response(answered(answer), len(batch)).verdict == Verdict.DELIVERED
        assert len(answer.taken if batch[0].member else answer.removed) == len(batch)


def test_a_full_batch_is_taken_and_no_larger_one() -> None:
    request = LINKEDIN.build_request([EVENT] * LINKEDIN.limits.events, NOW, "n")
    assert StandIn().conversions(call(request)).status == 200
    request = LINKEDIN.build_request([EVENT] * (LINKEDIN.limits.events + 1), NOW, "n")
    assert StandIn().conversions(call(request)).status == 400


def test_one_stale_event_fails_all_and_is_named() -> None:
    """Whoever sends it all the same learns its place, and only its place."""
    stale = replace(EVENT, occurred_at=NOW - 91 * 24 * 3600 * 1000)
    answer = StandIn().conversions(call(LINKEDIN.build_request([EVENT, stale, EVENT], NOW, "n")))
    assert answer.taken == ()
    outcome = LINKEDIN.read_response(answered(answer), 3)
    assert (outcome.verdict, outcome.guilty) == (Verdict.REFUSED, (1,))


@pytest.mark.parametrize(
    ("standin", "verdict"),
    [
        (StandIn(token="another"), Verdict.UNAUTHORISED),
        (StandIn(expired={TOKEN}), Verdict.UNAUTHORISED),
        (StandIn(revoked={TOKEN}), Verdict.STOPPED),
        (StandIn(oldest="202609"), Verdict.STOPPED),
        (StandIn(requests_a_minute=0), Verdict.THROTTLED),
        (StandIn(rules={"124"}), Verdict.REFUSED),
        (StandIn(tag_rules={"123"}), Verdict.REFUSED),
    ],
)
def test_the_stand_in_refuses_and_the_connector_understands(
    standin: StandIn, verdict: Verdict
) -> None:
    answer = standin.conversions(call(LINKEDIN.build_request([EVENT], NOW, "n")))
    assert LINKEDIN.read_response(answered(answer), 1).verdict == verdict


def test_a_segment_is_found_five_seconds_after_it_was_made() -> None:
    standin, request = StandIn(segments={"77": NOW}), LINKEDIN.build_request([MEMBER], NOW, "n")
    verdicts = [
        LINKEDIN.read_response(answered(standin.users(call(request, NOW + later))), 1).verdict
        for later in (0, 4_999, 5_000)
    ]
    assert verdicts == [Verdict.RETRY, Verdict.RETRY, Verdict.DELIVERED]


def test_segments_need_a_scope_of_their_own() -> None:
    answer = StandIn(audiences=False).users(call(LINKEDIN.build_request([MEMBER], NOW, "n")))
    assert LINKEDIN.read_response(answered(answer), 1).verdict == Verdict.STOPPED
