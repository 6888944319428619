"""Google Ads' connector: what is refused, what is asked, what its answers mean. Nobody is real."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.standins.desk import Answer, Call
from lethe.standins.google_ads import _DataManager
from privacy.ads import AdEvent, Contact
from privacy.outcome import Reason
from sinks.ads.contract import Outcome, Request, Response, Verdict
from sinks.ads.google_ads import Account, GoogleAds
from sinks.ads.hashing import hashed

NOW = 1_795_424_460_000
DAY = 86_400_000
TOKEN = "google-token"
ACCOUNT = Account(
    customers={"shop.example": "1234567890", "www.example": "1234567890"},
    terms_accepted=True,
)
VISIT = AdEvent(
    event_id="evt-1",
    site="shop.example",
    visitor="c-1",
    occurred_at=NOW - 59_999,
    epoch=1,
    conversion="987",
    ids={"gclid": "Cj0KCQ-aB_c", "fbp": "fb.1.1.1"},
    user_agent="Mozilla/5.0 (Example)",
)
PERSON = Contact(email=" Ann.Other@Example.com ")
MEMBER = replace(VISIT, event_id="evt-2", conversion=None, audience="6001", contact=PERSON, ids={})
LEAVER = replace(
    MEMBER, member=False, contact=None, ids={"emailAddress": hashed("ann.other@example.com")}
)
GRANTED, DENIED = "CONSENT_GRANTED", "CONSENT_DENIED"


@pytest.fixture
def ads() -> GoogleAds:
    return GoogleAds(ACCOUNT, lambda: TOKEN)


def sent(connector: GoogleAds, *events: AdEvent) -> Any:
    """Return the body of the request for ``events``."""
    return json.loads(connector.build_request(events, NOW, "n").body)


def identifiers(connector: GoogleAds, contact: Contact) -> Any:
    """Return how Google is told of a member."""
    [member] = sent(connector, replace(MEMBER, contact=contact))["audienceMembers"]
    return member["userData"]["userIdentifiers"]


# What is asked


def test_a_conversion_as_google_documents_it(ads: GoogleAds) -> None:
    request = ads.build_request([VISIT], NOW, "n")
    assert (request.method, request.url) == (
        "POST",
        "https://datamanager.googleapis.com/v1/events:ingest",
    )
    assert request.headers == {
        "Authorization": "Bearer google-token",
        "Content-Type": "application/json",
    }
    assert json.loads(request.body) == {
        "destinations": [
            {
                "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                "productDestinationId": "987",
            }
        ],
        "events": [
            {
                "eventTimestamp": "2026-11-23T09:00:00.001Z",
                "transactionId": "evt-1",
                "eventSource": "WEB",
                "adIdentifiers": {"gclid": "Cj0KCQ-aB_c"},
                "consent": {"adUserData": GRANTED, "adPersonalization": DENIED},
            }
        ],
    }


def test_a_member_as_google_documents_it(ads: GoogleAds) -> None:
    request = ads.build_request([MEMBER], NOW, "n")
    assert request.url == "https://datamanager.googleapis.com/v1/audienceMembers:ingest"
    body = json.loads(request.body)
    assert body["destinations"][0]["productDestinationId"] == "6001"
    assert body["encoding"] == "HEX"
    assert body["termsOfService"] == {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
    assert body["audienceMembers"] == [
        {
            "userData": {"userIdentifiers": [{"emailAddress": hashed("ann.other@example.com")}]},
            "consent": {"adUserData": GRANTED, "adPersonalization": GRANTED},
        }
    ]


def test_who_leaves_is_named_as_who_entered(ads: GoogleAds) -> None:
    request = ads.build_request([LEAVER], NOW, "n")
    assert request.url == "https://datamanager.googleapis.com/v1/audienceMembers:remove"
    [entered], [left] = (sent(ads, each)["audienceMembers"] for each in (MEMBER, LEAVER))
    assert left == {"userData": entered["userData"]}
    assert json.loads(request.body).keys() == {"destinations", "audienceMembers", "encoding"}


def test_a_manager_logs_in_for_the_account_that_owns_the_conversion() -> None:
    connector = GoogleAds(replace(ACCOUNT, manager="42"), lambda: TOKEN)
    assert sent(connector, VISIT)["destinations"] == [
        {
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
            "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": "42"},
            "productDestinationId": "987",
        }
    ]


@pytest.mark.parametrize("event", [VISIT, MEMBER])
def test_consent_is_set_on_each_event_and_in_this_apis_words(
    ads: GoogleAds, event: AdEvent
) -> None:
    body = sent(ads, event, event)
    told = [each["consent"] for each in body.get("events", body.get("audienceMembers"))]
    assert [each["adUserData"] for each in told] == ["CONSENT_GRANTED"] * 2  # not GRANTED
    assert {each["adPersonalization"] for each in told} <= {"CONSENT_GRANTED", "CONSENT_DENIED"}


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ({"wbraid": "w", "gbraid": "b", "gclid": "g"}, {"gclid": "g"}),
        ({"wbraid": "w", "gbraid": "b"}, {"gbraid": "b"}),
        ({"wbraid": "w", "gclid": ""}, {"wbraid": "w"}),
    ],
)
def test_one_click_id_is_told(ads: GoogleAds, ids: dict[str, str], told: dict[str, str]) -> None:
    assert sent(ads, replace(VISIT, ids=ids))["events"][0]["adIdentifiers"] == told


def test_the_reference_vector_of_an_email_address(ads: GoogleAds) -> None:
    for text in ("cloudysanfrancisco@gmail.com", " Cloudy.San Francisco+shopping@GMail.com "):
        [told] = identifiers(ads, Contact(email=text))
        assert told["emailAddress"].startswith("223ebda6f688")


def test_dots_and_suffixes_stay_outside_gmail(ads: GoogleAds) -> None:
    told = identifiers(ads, Contact(email="User.Name+NYC@Example.com"))
    assert told == [{"emailAddress": hashed("user.name+nyc@example.com")}]


def test_a_phone_number_keeps_its_plus(ads: GoogleAds) -> None:
    told = identifiers(ads, Contact(phone="+1 (800) 555-0100"))
    assert told == [{"phoneNumber": hashed("+18005550100")}]


def test_what_is_hashed_already_is_not_hashed_again(ads: GoogleAds) -> None:
    one = "AB" * 32
    told = identifiers(ads, Contact(email=one, phone=one))
    assert told == [{"emailAddress": "ab" * 32}, {"phoneNumber": "ab" * 32}]


def test_an_address_is_called_address_and_counts_with_all_four_parts(ads: GoogleAds) -> None:
    whole = Contact(
        email="ann@example.com",
        first_name=" Ann ",
        last_name="O'Hara",
        country="nl",
        postal_code="1000 AA",
    )
    address = {
        "givenName": hashed("ann"),
        "familyName": hashed("ohara"),
        "regionCode": "NL",
        "postalCode": "1000 AA",
    }
    assert identifiers(ads, whole)[1:] == [{"address": address}]
    for part in ("first_name", "last_name", "country", "postal_code"):
        assert not identifiers(ads, replace(whole, **{part: None}))[1:]


def test_groups_keep_accounts_conversions_audiences_and_leaving_apart(ads: GoogleAds) -> None:
    events = [VISIT, replace(VISIT, conversion="988"), MEMBER, LEAVER]
    assert len({ads.group(each) for each in events}) == 4
    assert ads.group(VISIT) == ads.group(replace(VISIT, site="www.example"))  # the same account
    two = GoogleAds(Account({"shop.example": "1", "www.example": "2"}), lambda: TOKEN)
    assert two.group(VISIT) != two.group(replace(VISIT, site="www.example"))


def test_no_address_user_agent_visitor_or_other_providers_id_leaves(ads: GoogleAds) -> None:
    for event in (VISIT, MEMBER):
        told = ads.build_request([event], NOW, "n").body.decode().lower()
        assert not [each for each in ("mozilla", "fb.1", '"c-1"', "ann") if each in told]


def test_no_secret_in_url_body_or_repr(ads: GoogleAds) -> None:
    for request in (ads.build_request([VISIT], NOW, "n"), ads.build_poll("ticket")):
        for shown in (repr(request), request.url, request.body.decode()):
            assert TOKEN not in shown


def test_a_new_token_is_read_for_each_request() -> None:
    tokens = iter("ab")
    connector = GoogleAds(ACCOUNT, lambda: next(tokens))
    for token in "ab":
        request = connector.build_request([VISIT], NOW, "n")
        assert request.headers["Authorization"] == f"Bearer {token}"


def test_the_same_events_make_the_same_request(ads: GoogleAds) -> None:
    assert ads.build_request([VISIT], NOW, "a") == ads.build_request([VISIT], NOW + 1, "b")


# What is refused


def test_what_google_takes_is_not_refused(ads: GoogleAds) -> None:
    for event in (VISIT, MEMBER, LEAVER):
        assert ads.refusal(event, NOW) is None


def test_the_age_of_a_conversion_is_a_setting(ads: GoogleAds) -> None:
    old = replace(VISIT, occurred_at=NOW - 90 * DAY)
    assert ads.refusal(old, NOW) is None
    assert ads.refusal(old, NOW + 1) == Reason.TOO_OLD
    narrow = GoogleAds(replace(ACCOUNT, oldest_days=89), lambda: TOKEN)
    assert narrow.refusal(old, NOW) == Reason.TOO_OLD


def test_the_future_is_refused_but_for_what_our_clocks_differ(ads: GoogleAds) -> None:
    assert ads.refusal(replace(VISIT, occurred_at=NOW + 60_000), NOW) is None
    assert ads.refusal(replace(VISIT, occurred_at=NOW + 60_001), NOW) == Reason.TOO_NEW


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ({}, Reason.NO_IDENTIFIER),
        ({"gclid": ""}, Reason.NO_IDENTIFIER),
        ({"fbp": "fb.1.1.1"}, Reason.NO_IDENTIFIER),
        ({"gclid": "a b"}, Reason.BAD_IDENTIFIER),
        ({"gclid": "ann@example.com"}, Reason.BAD_IDENTIFIER),
        ({"wbraid": "a" * 513}, Reason.BAD_IDENTIFIER),
    ],
)
def test_a_conversion_needs_a_click_id(ads: GoogleAds, ids: dict[str, str], reason: Reason) -> None:
    assert ads.refusal(replace(VISIT, ids=ids), NOW) == reason


@pytest.mark.parametrize(
    ("contact", "reason"),
    [
        (None, Reason.NO_IDENTIFIER),
        (Contact(), Reason.NO_IDENTIFIER),
        (Contact(first_name="Ann", last_name="Other", country="NL"), Reason.NO_IDENTIFIER),
        (Contact(email="ann"), Reason.BAD_IDENTIFIER),
        (Contact(email="ann@example"), Reason.BAD_IDENTIFIER),
        (Contact(email="ann@example.com", phone="12"), Reason.BAD_IDENTIFIER),
        (Contact(email="ann@example.com", country="Netherlands"), Reason.BAD_IDENTIFIER),
    ],
)
def test_a_member_needs_what_matches_people(
    ads: GoogleAds, contact: Contact | None, reason: Reason
) -> None:
    assert ads.refusal(replace(MEMBER, contact=contact), NOW) == reason


def test_without_the_terms_accepted_nobody_enters_and_anybody_leaves() -> None:
    connector = GoogleAds(replace(ACCOUNT, terms_accepted=False), lambda: TOKEN)
    assert connector.refusal(MEMBER, NOW) == Reason.NO_TARGET
    assert connector.refusal(LEAVER, NOW) is None


@pytest.mark.parametrize(
    "event",
    [
        replace(VISIT, conversion=None, page="https://shop.example/tea"),  # it takes no pages
        replace(VISIT, conversion="purchase"),
        replace(VISIT, site="other.example"),
        replace(MEMBER, audience="tea-drinkers"),
        replace(MEMBER, audience=""),
    ],
)
def test_what_goes_nowhere_is_refused(ads: GoogleAds, event: AdEvent) -> None:
    assert ads.refusal(event, NOW) == Reason.NO_TARGET


# What its answers mean


def judged(content: object, status: int = 200, count: int = 3, **headers: str) -> Outcome:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    response = Response(status, headers, body)
    return GoogleAds(ACCOUNT, lambda: TOKEN).read_response(response, count)


def failed(status: str, *violations: tuple[str, str], **info: object) -> dict[str, object]:
    """Return an error as Google writes it."""
    details: list[dict[str, object]] = [{"reason": status, **info}]
    if violations:
        found = [{"field": at, "reason": why, "description": "ann"} for at, why in violations]
        details.append({"fieldViolations": found})
    return {"error": {"status": status, "message": "ann@example.com", "details": details}}


def test_success_is_no_more_than_accepted() -> None:
    told = {"requestId": "r-1", "fieldWarnings": []}
    assert judged(told) == Outcome(Verdict.ACCEPTED, ticket="r-1")
    assert judged({}) == Outcome(Verdict.RETRY, "NO_REQUEST_ID")


@pytest.mark.parametrize("ticket", ["", "r\0", "\ud800", "r 1", "r" * 501, 1, ["r"]])
def test_a_ticket_that_the_ledger_cannot_keep_is_none(ticket: object) -> None:
    assert judged({"requestId": ticket}) == Outcome(Verdict.RETRY, "NO_REQUEST_ID")


@pytest.mark.parametrize(
    ("http", "status", "verdict"),
    [
        (401, "UNAUTHENTICATED", Verdict.UNAUTHORISED),
        (403, "PERMISSION_DENIED", Verdict.STOPPED),
        (404, "NOT_FOUND", Verdict.STOPPED),
        (400, "INVALID_ARGUMENT", Verdict.REFUSED),
        (429, "RESOURCE_EXHAUSTED", Verdict.THROTTLED),
        (500, "INTERNAL", Verdict.RETRY),
        (503, "UNAVAILABLE", Verdict.RETRY),
        (504, "DEADLINE_EXCEEDED", Verdict.RETRY),
    ],
)
def test_the_status_in_the_body_decides_and_else_that_of_http(
    http: int, status: str, verdict: Verdict
) -> None:
    assert judged(failed(status), 418) == replace(judged(failed(status), http), verdict=verdict)
    assert judged(b"<html>", http).verdict == verdict


def test_the_places_at_fault_are_guilty_and_their_neighbours_are_not() -> None:
    told = failed(
        "INVALID_ARGUMENT",
        ("events.events[2].ad_identifiers", "INVALID_FORMAT"),
        ("events.events[0]", "NO_IDENTIFIERS_PROVIDED"),
        ("events.events[7]", "INVALID_FORMAT"),  # there are three
    )
    assert judged(told, 400) == Outcome(Verdict.REFUSED, "INVALID_FORMAT", (0, 2))


@pytest.mark.parametrize("at", ["audienceMembers[1]", "audience_members.audience_members[1].x"])
def test_members_at_fault_are_guilty_however_they_are_spelled(at: str) -> None:
    assert judged(failed("INVALID_ARGUMENT", (at, "X")), 400).guilty == (1,)


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("destinations.destinations[0].product_destination_id", "INVALID_FORMAT"),
        ("terms_of_service", "TERMS_AND_CONDITIONS_NOT_SIGNED"),
        ("", "INVALID_CONVERSION_ACTION_ID"),
    ],
)
def test_a_fault_of_the_configuration_stops_and_blames_no_event(at: str, reason: str) -> None:
    told = failed("INVALID_ARGUMENT", (at, reason), ("events.events[0]", "INVALID_EVENT"))
    assert judged(told, 400) == Outcome(Verdict.STOPPED, reason)


def test_throttling_waits_as_long_as_google_says() -> None:
    minute = {"quota_limit": "IngestionMutateRequestsPerMinutePerProject"}
    day = {"quota_limit": "IngestionMutateRequestsPerDayPerProject"}
    told = failed("RESOURCE_EXHAUSTED", metadata=minute)
    assert judged(told, 429) == Outcome(Verdict.THROTTLED, "RESOURCE_EXHAUSTED", wait=60.0)
    assert judged(failed("RESOURCE_EXHAUSTED", metadata=day), 429).wait == 3600.0
    assert judged(failed("RESOURCE_EXHAUSTED", retryDelay="1.5s"), 429).wait == 1.5
    assert judged(told, 429, **{"retry-after": "7"}).wait == 7.0
    assert judged(told, 429, **{"retry-after": "ann"}).wait == 60.0
    assert judged(told, 429, **{"retry-after": "999999"}).wait == 86_400.0
    assert judged(failed("RESOURCE_EXHAUSTED", retryDelay=[[]]), 429).wait == 60.0


# What becomes of what was accepted


def polled(content: object, status: int = 200, count: int = 3) -> Outcome | None:
    response = Response(status, {}, json.dumps(content).encode())
    return GoogleAds(ACCOUNT, lambda: TOKEN).read_poll(response, count)


def processed(status: str, **reasons: int) -> dict[str, Any]:
    counts = [
        {"reason": f"PROCESSING_ERROR_REASON_{reason}", "recordCount": str(count)}
        for reason, count in reasons.items()
    ]
    destination = {"requestStatus": status, "errorInfo": {"errorCounts": counts}}
    return {"requestStatusPerDestination": [destination]}


def test_the_status_is_asked_for_by_ticket(ads: GoogleAds) -> None:
    request = ads.build_poll("r-1&x")
    assert (request.method, request.body) == ("GET", b"")
    assert request.url == (
        "https://datamanager.googleapis.com/v1/requestStatus:retrieve?requestId=r-1%26x"
    )
    assert request.headers["Authorization"] == "Bearer google-token"


@pytest.mark.parametrize("status", ["PROCESSING", "REQUEST_STATUS_UNKNOWN", ""])
def test_what_is_not_done_has_no_verdict(status: str) -> None:
    assert polled(processed(status)) is None
    both = processed("SUCCESS")["requestStatusPerDestination"]
    both += processed(status)["requestStatusPerDestination"]
    assert polled({"requestStatusPerDestination": both}) is None


def test_success_is_delivered() -> None:
    assert polled(processed("SUCCESS")) == Outcome(Verdict.DELIVERED)


@pytest.mark.parametrize("status", ["PARTIAL_SUCCESS", "FAILED"])
def test_a_duplicate_is_delivered(status: str) -> None:
    told = processed(status, DUPLICATE_TRANSACTION_ID=2)
    assert polled(told) == Outcome(Verdict.DELIVERED, "DUPLICATE_TRANSACTION_ID")


def test_of_some_refused_each_is_uncertain_as_none_is_named() -> None:
    told = processed("PARTIAL_SUCCESS", INVALID_GCLID=1)
    assert polled(told) == Outcome(Verdict.UNCERTAIN, "INVALID_GCLID")
    assert polled(processed("PARTIAL_SUCCESS")) == Outcome(Verdict.UNCERTAIN, "UNSPECIFIED")
    # The duplicates were taken before, and are not named either.
    told = processed("FAILED", INVALID_GCLID=1, DUPLICATE_TRANSACTION_ID=2)
    assert polled(told) == Outcome(Verdict.UNCERTAIN, "INVALID_GCLID")


@pytest.mark.parametrize(
    "reasons",
    [
        {"DENIED_CONSENT": 1, "UNKNOWN_CONSENT": 2},
        {"UNKNOWN_CONSENT": 3},
        {"UNKNOWN_CONSENT": 5},
    ],
)
def test_where_all_are_refused_all_are_guilty(reasons: dict[str, int]) -> None:
    told = processed("FAILED", **reasons)
    assert polled(told) == Outcome(Verdict.REFUSED, "UNKNOWN_CONSENT", (0, 1, 2))
    assert polled(processed("FAILED")) == Outcome(Verdict.REFUSED, "UNSPECIFIED", (0, 1, 2))


def test_what_one_destination_took_and_another_did_not_is_uncertain() -> None:
    both = processed("SUCCESS")["requestStatusPerDestination"]
    both += processed("FAILED", INVALID_GCLID=3)["requestStatusPerDestination"]
    told = {"requestStatusPerDestination": both}
    assert polled(told) == Outcome(Verdict.UNCERTAIN, "INVALID_GCLID")


@pytest.mark.parametrize(
    ("http", "status", "verdict"),
    [
        (500, "INTERNAL", None),
        (429, "RESOURCE_EXHAUSTED", None),
        (401, "UNAUTHENTICATED", None),
        (403, "PERMISSION_DENIED", None),
        (400, "INVALID_ARGUMENT", Verdict.UNCERTAIN),  # a lost ticket
        (404, "NOT_FOUND", Verdict.UNCERTAIN),
    ],
)
def test_a_status_that_is_not_told(http: int, status: str, verdict: Verdict | None) -> None:
    found = polled(failed(status), http)
    assert (found.verdict if found else None) == verdict


NAMES = [
    "error",
    "status",
    "details",
    "reason",
    "fieldViolations",
    "field",
    "requestId",
    "requestStatusPerDestination",
    "requestStatus",
    "errorInfo",
    "errorCounts",
    "recordCount",
]
SCRAPS = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from(["FAILED", "x@y", "INVALID_ARGUMENT"]),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(NAMES), each),
)


@given(st.sampled_from([200, 400, 401, 403, 418, 429, 500]), SCRAPS)
def test_any_answer_has_a_verdict_that_repeats_no_text(status: int, content: Any) -> None:
    for outcome in (judged(content, status), polled(content, status)):
        assert outcome is None or not set(outcome.code) & set("@ abcdefgijklmnoqrsuvwxyz")  # http_


def test_what_google_echoes_is_no_code() -> None:
    told = failed("INVALID_ARGUMENT", ("events.events[0]", "ann@example.com"))
    assert judged(told, 400).code == "INVALID_ARGUMENT"
    assert judged({"error": {"status": "ann@example.com"}}, 400).code == "INVALID_ARGUMENT"
    told = processed("FAILED", **{"ann@example.com": 3})
    assert polled(told) == Outcome(Verdict.REFUSED, "UNSPECIFIED", (0, 1, 2))


# What is built is what the stand-in takes


def manager() -> _DataManager:
    return _DataManager({TOKEN: ""}, None, 0, {"Minute": 9, "Day": 9}, 90 * DAY, {})


def answer(data_manager: _DataManager, request: Request) -> Answer:
    """Return what the stand-in's judge says of the request."""
    url = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    content = json.loads(request.body) if request.body else None
    call = Call(
        "google-ads", NOW, request.method, url.path, dict(parse_qsl(url.query)), headers, content, 0
    )
    return data_manager.ingest(call) if content else data_manager.status(call)


def delivered(connector: GoogleAds, request: Request, count: int) -> Answer:
    """Send the request and ask for its status, which must be that all is delivered."""
    data_manager = manager()
    told = answer(data_manager, request)
    body = json.dumps(told.content).encode()
    outcome = connector.read_response(Response(told.status, {}, body), count)
    assert outcome.verdict == Verdict.ACCEPTED, told.content
    assert outcome.ticket is not None
    status = answer(data_manager, connector.build_poll(outcome.ticket))
    body = json.dumps(status.content).encode()
    found = connector.read_poll(Response(status.status, {}, body), count)
    assert found == Outcome(Verdict.DELIVERED)
    return told


CONTACTS = st.builds(
    Contact,
    email=st.none() | st.emails() | st.text(),
    phone=st.none() | st.from_regex(r"\+?[0-9 ()-]{5,20}") | st.text(),
    first_name=st.none() | st.text(),
    last_name=st.none() | st.text(),
    country=st.none() | st.sampled_from(["US", "nl", "Deutschland"]),
    postal_code=st.none() | st.text(),
)
CLICKS = st.dictionaries(
    st.sampled_from(["gclid", "gbraid", "wbraid", "fbp"]),
    st.from_regex(r"[A-Za-z0-9_-]{1,9}", fullmatch=True) | st.text(max_size=3),
)
EVENTS = st.builds(
    AdEvent,
    event_id=st.uuids().map(str),
    site=st.sampled_from(["shop.example", "www.example", "other.example"]),
    visitor=st.text(),
    occurred_at=st.sampled_from([NOW - 90 * DAY, NOW])
    | st.integers(NOW - 91 * DAY, NOW + 2 * 60_000),
    epoch=st.just(1),
    conversion=st.sampled_from(["987", "988", "x"]),
    ids=CLICKS,
    contact=st.none() | CONTACTS,
)
MEMBERS = st.builds(
    lambda event, audience: replace(event, conversion=None, audience=audience),
    EVENTS,
    st.sampled_from(["6001", "6002", "x"]),
)


@given(st.lists(EVENTS | MEMBERS, max_size=8))
def test_whatever_is_not_refused_is_taken(events: list[AdEvent]) -> None:
    """And so is its removal, where there is one."""
    connector, groups = GoogleAds(ACCOUNT, lambda: TOKEN), {}
    for event in events:
        if connector.refusal(event, NOW) is None:
            removal = connector.removal(event)
            assert (removal is None) == (event.audience is None)
            for each in filter(None, (event, removal)):
                assert connector.refusal(each, NOW) is None
                groups.setdefault(connector.group(each), []).append(each)
    for group in groups.values():
        told = delivered(connector, connector.build_request(group, NOW, "n"), len(group))
        if group[0].audience is None:
            assert told.taken == [event.event_id for event in group]
        assert len(told.taken if group[0].member else told.removed) == len(group)


def test_2000_events_are_taken_and_2001_are_not(ads: GoogleAds) -> None:
    events = [replace(VISIT, event_id=f"full-{n}") for n in range(ads.limits.events + 1)]
    full = ads.build_request(events[:-1], NOW, "n")
    assert len(delivered(ads, full, 2_000).taken) == 2_000
    assert answer(manager(), ads.build_request(events, NOW, "n")).status == 400
