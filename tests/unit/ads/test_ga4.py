"""GA4's connector: what is refused, what is asked, what its answers mean. Nobody is real."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.standins.desk import Call
from lethe.standins.ga4 import _Analytics
from privacy.ads import AdEvent, Contact
from privacy.outcome import Reason
from sinks.ads.contract import Outcome, Request, Response, Verdict
from sinks.ads.ga4 import GA4, Account, Stream

NOW = 1_795_424_460_000
HOUR = 3_600_000
ACCOUNT = Account({"shop.example": Stream("G-ABC", "77"), "www.example": Stream("G-DEF", "78")})
VISIT = AdEvent(
    event_id="evt-1",
    site="shop.example",
    visitor="c-1",
    occurred_at=NOW - 60_000,
    epoch=1,
    page="https://shop.example/tea",
    ids={"ga_client_id": "c1.1700000000", "gclid": "click", "fbp": "fb.1.1.1"},
    user_agent="Mozilla/5.0 (Example)",
    contact=Contact("ann@example.com", "+31 20 555 0100", "Ann", "Other", "NL", "1000 AA"),
)
JOIN = replace(VISIT, event_id="evt-2", page=None, audience="tea-drinkers")


@pytest.fixture
def ga4() -> GA4:
    return GA4(ACCOUNT, lambda stream: f"ga4-secret-{stream}", lambda: "google-token")


def sent(connector: GA4, *events: AdEvent) -> Any:
    """Return the body of the request for ``events``."""
    return json.loads(connector.build_request(events, NOW, "n").body)


# What is asked


def test_a_page_visited_as_google_documents_it(ga4: GA4) -> None:
    request = ga4.build_request([VISIT], NOW, "n")
    assert request == Request(
        "POST",
        "https://www.google-analytics.com/mp/collect?measurement_id=G-ABC",
        request.body,
        {"Content-Type": "application/json"},
        {"api_secret": "ga4-secret-G-ABC"},
    )
    assert json.loads(request.body) == {
        "client_id": "c1.1700000000",
        "consent": {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"},
        "events": [
            {
                "name": "page_view",
                "timestamp_micros": 1_795_424_400_000_000,
                "params": {"page_location": "https://shop.example/tea", "event_id": "evt-1"},
            }
        ],
    }


def test_an_audience_joined_is_a_group_joined_with_consent_to_personalisation(ga4: GA4) -> None:
    body = sent(ga4, JOIN)
    assert body["consent"] == {"ad_user_data": "GRANTED", "ad_personalization": "GRANTED"}
    assert [(each["name"], each["params"]) for each in body["events"]] == [
        ("join_group", {"group_id": "tea-drinkers", "event_id": "evt-2"})
    ]


def test_a_removal_has_the_property_delete_the_client(ga4: GA4) -> None:
    removal = ga4.removal(VISIT)
    assert removal is not None
    assert ga4.build_request([removal], NOW, "n") == Request(
        "POST",
        "https://analyticsadmin.googleapis.com/v1alpha/properties/77:submitUserDeletion",
        b'{"clientId":"c1.1700000000"}',
        {"Authorization": "Bearer google-token", "Content-Type": "application/json"},
    )
    for changed in ({"ids": {}}, {"ids": {"ga_client_id": "@"}}, {"site": "other.example"}):
        assert ga4.refusal(replace(removal, **changed), NOW) is not None


def test_one_client_a_request(ga4: GA4) -> None:
    other = replace(VISIT, ids={"ga_client_id": "c2.1700000000"})
    same = replace(VISIT, event_id="evt-3", page="https://shop.example/cups")
    assert ga4.group(VISIT) == ga4.group(same)
    groups = {ga4.group(each) for each in (VISIT, other, JOIN, replace(VISIT, site="www.example"))}
    assert len(groups) == 4


def test_no_address_user_agent_user_id_or_other_providers_id_leaves(ga4: GA4) -> None:
    request = ga4.build_request([VISIT], NOW, "n")
    told = f"{request}{request.headers}{request.body!r}".lower()
    assert not [
        each
        for each in ("mozilla", "ip_override", "user_id", 'c-1"', "click", "fb.1", "ann", "0100")
        if each in told
    ]


def test_no_secret_in_url_body_or_repr(ga4: GA4) -> None:
    for event in (VISIT, ga4.removal(VISIT)):
        assert event is not None
        request = ga4.build_request([event], NOW, "n")
        for shown in (repr(request), request.url, request.body.decode()):
            assert "ga4-secret" not in shown
            assert "google-token" not in shown


def test_the_same_events_make_the_same_request(ga4: GA4) -> None:
    assert ga4.build_request([VISIT], NOW, "a") == ga4.build_request([VISIT], NOW + 1, "b")


# What is refused


def test_what_google_takes_is_not_refused(ga4: GA4) -> None:
    assert ga4.refusal(VISIT, NOW) is None
    assert ga4.refusal(JOIN, NOW) is None


def test_72_hours_past_and_15_minutes_future(ga4: GA4) -> None:
    def at(moment: int) -> Reason | None:
        return ga4.refusal(replace(VISIT, occurred_at=moment), NOW)

    assert at(NOW - 71 * HOUR) is None
    assert at(NOW - 72 * HOUR) == Reason.TOO_OLD
    assert at(NOW + HOUR // 5) is None
    assert at(NOW + HOUR // 4) == Reason.TOO_NEW


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ("", Reason.NO_IDENTIFIER),
        ("GA1.1.123456.1700000000", Reason.BAD_IDENTIFIER),  # the cookie, not the id in it
        ("ann@example.com", Reason.BAD_IDENTIFIER),
        ("a b", Reason.BAD_IDENTIFIER),
        ("1" * 101, Reason.BAD_IDENTIFIER),
        ("1.2\n", Reason.BAD_IDENTIFIER),
    ],
)
def test_a_client_id_that_is_none_is_refused(ga4: GA4, client: str, reason: Reason) -> None:
    assert ga4.refusal(replace(VISIT, ids={"ga_client_id": client}), NOW) == reason


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("https://shop.example/" + "a" * 979, None),
        ("https://shop.example/" + "a" * 980, Reason.TOO_LONG),
        ("https://shop.example/" + "é" * 163, None),  # %C3%A9: six characters in a URL
        ("https://shop.example/" + "é" * 164, Reason.TOO_LONG),
        ("/tea", Reason.BAD_NAME),
        ("ftp://shop.example/", Reason.BAD_NAME),
        ("https://[/", Reason.BAD_NAME),
        ("https://shop.example/\0", Reason.BAD_NAME),
        ("", Reason.BAD_NAME),
    ],
)
def test_a_page_is_a_url_of_at_most_1000_characters(
    ga4: GA4, page: str, reason: Reason | None
) -> None:
    assert ga4.refusal(replace(VISIT, page=page), NOW) == reason


@pytest.mark.parametrize(
    ("group", "reason"),
    [("a" * 100, None), ("a" * 101, Reason.TOO_LONG), ("a\n", Reason.BAD_NAME)],
)
def test_a_group_id_is_at_most_100_characters(ga4: GA4, group: str, reason: Reason | None) -> None:
    assert ga4.refusal(replace(JOIN, audience=group), NOW) == reason


def test_an_event_id_is_a_parameter_like_any_other(ga4: GA4) -> None:
    assert ga4.refusal(replace(VISIT, event_id="e" * 101), NOW) == Reason.TOO_LONG


@pytest.mark.parametrize(
    "changed",
    [
        {"audience": "tea-drinkers", "member": False},  # there is no way to leave a group
        {"conversion": "purchase"},
        {"audience": ""},
        {},
        {"site": "other.example", "audience": "tea-drinkers"},
    ],
)
def test_what_goes_nowhere_is_refused(ga4: GA4, changed: dict[str, Any]) -> None:
    assert ga4.refusal(replace(VISIT, page=None, **changed), NOW) == Reason.NO_TARGET


# What its answers mean


def judged(connector: GA4, status: int, body: bytes = b"") -> Outcome:
    return connector.read_response(Response(status, {}, body), 1)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (204, b"", Verdict.DELIVERED),
        (200, b'{"deletionRequestTime":"2026-11-23T09:00:00Z"}', Verdict.DELIVERED),
        (301, b"", Verdict.STOPPED),
        (400, b"", Verdict.REFUSED),
        (401, b'{"error":{"code":401}}', Verdict.UNAUTHORISED),
        (403, b'{"error":{"code":403}}', Verdict.STOPPED),
        (404, b"<html>", Verdict.STOPPED),
        (413, b"", Verdict.REFUSED),
        (429, b"", Verdict.THROTTLED),
        (503, b"", Verdict.RETRY),
        (500, b'{"error":{"code":500}}', Verdict.RETRY),
    ],
)
def test_the_status_decides(ga4: GA4, status: int, body: bytes, verdict: Verdict) -> None:
    assert judged(ga4, status, body).verdict == verdict


def test_it_does_not_deduplicate_so_a_lost_answer_is_uncertain(ga4: GA4) -> None:
    assert ga4.deduplicates is False
    assert judged(ga4, 502, b"<html>").verdict == Verdict.UNCERTAIN


def test_the_debug_endpoints_200_is_no_delivery(ga4: GA4) -> None:
    fault = {"fieldPath": "events", "description": "ann", "validationCode": "NAME_RESERVED"}
    told = json.dumps({"validationMessages": [fault]}).encode()
    assert judged(ga4, 200, told) == Outcome(Verdict.REFUSED, "debug_endpoint")
    assert judged(ga4, 200, b'{"validationMessages":[]}').verdict == Verdict.STOPPED


@given(st.integers(100, 599), st.binary())
def test_any_answer_has_a_verdict_that_repeats_no_text(status: int, body: bytes) -> None:
    connector = GA4(ACCOUNT, str, str)
    assert judged(connector, status, body).code in {f"http_{status}", "debug_endpoint"}


# What is built is what the stand-in takes

ANALYTICS = _Analytics({"G-ABC": "ga4-secret-G-ABC", "G-DEF": "ga4-secret-G-DEF"}, "t", None)
CLIENTS = st.sampled_from(["c1.1700000000", "c2.1", "GA1.1.1.1"]) | st.text(max_size=4)
TIMES = st.sampled_from([NOW - 72 * HOUR, NOW + HOUR // 4]) | st.integers(
    NOW - 73 * HOUR, NOW + HOUR // 2
)
PAGES = st.from_regex(r"https?://[a-z]+\.example/\S*", fullmatch=True) | st.text()
EVENTS = st.builds(
    AdEvent,
    event_id=st.uuids().map(str) | st.text(),
    site=st.sampled_from(["shop.example", "www.example", "other.example"]),
    visitor=st.text(),
    occurred_at=TIMES,
    epoch=st.just(1),
    page=PAGES,
    ids=st.fixed_dictionaries({}, optional={"ga_client_id": CLIENTS}),
    user_agent=st.text(),
)
JOINS = st.builds(
    lambda event, audience: replace(event, page=None, audience=audience), EVENTS, st.text()
)


def call(request: Request, **query: str) -> Call:
    """Return the request as a stand-in gets it."""
    stream = request.url.partition("measurement_id=")[2]
    query = {"measurement_id": stream, **request.secret_query, **query}
    content = json.loads(request.body)
    return Call("ga4", NOW, "POST", "/mp/collect", query, {}, content, len(request.body))


@given(st.lists(EVENTS | JOINS, max_size=6))
def test_whatever_is_not_refused_is_taken(events: list[AdEvent]) -> None:
    connector, groups = GA4(ACCOUNT, lambda stream: f"ga4-secret-{stream}", str), {}
    for event in events:
        if connector.refusal(event, NOW) is None:
            groups.setdefault(connector.group(event), []).append(event)
    for group in groups.values():
        request = connector.build_request(group, NOW, "n")
        strict = call(request)
        strict.content["validation_behavior"] = "ENFORCE_RECOMMENDATIONS"
        assert ANALYTICS.debug(strict).content == {"validationMessages": []}
        assert ANALYTICS.collect(call(request)).taken == [event.event_id for event in group]


def test_25_events_of_the_longest_pages_are_taken_and_26_are_not(ga4: GA4) -> None:
    longest = replace(VISIT, page="https://shop.example/" + "é" * 163)
    full = ga4.build_request([longest] * ga4.limits.events, NOW, "n")
    assert len(full.body) < ga4.limits.body
    assert len(ANALYTICS.collect(call(full)).taken) == 25
    more = ga4.build_request([longest] * (ga4.limits.events + 1), NOW, "n")
    assert not ANALYTICS.collect(call(more)).taken
