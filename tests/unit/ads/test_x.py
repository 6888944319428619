"""X: its requests, its limits and traps, and what its answers mean."""

import json
import logging
from dataclasses import replace
from email.utils import formatdate
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.standins.desk import Answer, Call
from lethe.standins.x import X as StandIn
from privacy.ads import AdEvent, Contact
from privacy.outcome import Reason
from sinks.ads.contract import Connector, Outcome, Request, Response, Verdict
from sinks.ads.x import MAX_AHEAD, Account, OAuth, X

NOW = 1_795_510_000_000  # 2026-11-24T08:46:40Z
SECRETS = OAuth("x-consumer-key", "x-consumer-secret", "x-token", "x-token-secret")
ACCOUNT = Account({"shop.example": "o8z6j", "blog.example": "o8z7k"}, "18ce54d4x5t")
PSEUDONYM = sha256(b"shop.example|v-1").hexdigest()
ANNA_HASHED = sha256(b"anna@example.com").hexdigest()

SIGNED: Connector = X(ACCOUNT, lambda: SECRETS)
EVENT = AdEvent(
    "e-1", "shop.example", "v-1", NOW + 7, 1, conversion="o87ne", ids={"twclid": "2-23opevjt"}
)
MEMBER = AdEvent("m-1", "shop.example", "v-1", NOW, 1, audience="1nmth")


def sent(*events: AdEvent) -> Any:
    return json.loads(SIGNED.build_request(events, NOW, "n").body)


def call(request: Request, began: int = NOW) -> Call:
    url = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Call(
        "x",
        began,
        request.method,
        url.path,
        {},
        {**headers, "host": url.netloc},
        json.loads(request.body),
        len(request.body),
    )


def answered(answer: Answer, **headers: str) -> Response:
    named = {**answer.headers, **headers}
    lower = {name.lower().replace("_", "-"): value for name, value in named.items()}
    return Response(answer.status, lower, json.dumps(answer.content).encode())


def judge(status: int, content: object = None, count: int = 3, **headers: str) -> Outcome:
    return SIGNED.read_response(answered(Answer(status, content), **headers), count)


def standin(**settings: Any) -> StandIn:
    return StandIn(scheme="https", **settings)


# What is sent.


def test_a_conversion_says_which_event_when_and_after_which_click_and_no_more() -> None:
    full = replace(EVENT, user_agent="Browser/1", ids={**EVENT.ids, "gclid": "g", "fbp": "f"})
    request = SIGNED.build_request([full], NOW, "n")
    assert (request.method, request.url) == (
        "POST",
        "https://ads-api.x.com/12/measurement/conversions/o8z6j",
    )
    assert set(request.headers) == {"Authorization", "Content-Type"}
    assert request.body.decode() == (
        '{"conversions":[{"conversion_time":"2026-11-24T08:46:40.007Z","event_id":"o87ne",'
        '"identifiers":[{"twclid":"2-23opevjt"}],"conversion_id":"e-1"}]}'
    )


def test_the_signature_is_that_of_rfc_5849() -> None:
    """Computed once with OpenSSL over the base string written out by hand."""
    request = SIGNED.build_request([EVENT], NOW, "nonce-1")
    assert request.headers["Authorization"] == (
        'OAuth oauth_consumer_key="x-consumer-key", oauth_nonce="nonce-1", '
        'oauth_signature_method="HMAC-SHA1", oauth_timestamp="1795510000", '
        'oauth_token="x-token", oauth_version="1.0", '
        'oauth_signature="mZpuO77jwRIbsGohhfO2drDBN0g%3D"'
    )


def test_every_try_is_signed_anew() -> None:
    tries = [(NOW, "a"), (NOW, "b"), (NOW + 1000, "a")]
    headers = [SIGNED.build_request([EVENT], *each).headers["Authorization"] for each in tries]
    assert len(set(headers)) == 3
    again = SIGNED.build_request([EVENT], NOW, "a")
    assert again.headers["Authorization"] == headers[0]


def test_the_token_of_the_pixel_serves_for_conversions() -> None:
    x = X(ACCOUNT, pixel_token=lambda: "x-pixel-token")
    request = x.build_request([EVENT], NOW, "n")
    assert request.headers == {
        "Content-Type": "application/json",
        "X-Pixel-Token": "x-pixel-token",
    }
    assert standin().conversions(call(request)).status == 200


def test_audiences_need_the_signature() -> None:
    assert X(ACCOUNT, pixel_token=lambda: "t").refusal(MEMBER, NOW) == Reason.NO_TARGET
    both = X(ACCOUNT, lambda: SECRETS, lambda: "t")
    assert both.refusal(MEMBER, NOW) is None
    assert "Authorization" in both.build_request([MEMBER], NOW, "n").headers


def test_without_any_secret_there_is_no_connector() -> None:
    with pytest.raises(ValueError, match="OAuth"):
        X(ACCOUNT)


def test_a_member_comes_and_goes_by_pseudonym() -> None:
    """Its address would stay behind at a removal that does not know it."""
    known = replace(MEMBER, contact=Contact(email="anna@example.com"))
    users = {"users": [{"partner_user_id": [PSEUDONYM]}]}
    for event, kind in ((known, "Update"), (SIGNED.removal(known), "Delete")):
        assert event is not None
        request = SIGNED.build_request([event], NOW, "n")
        assert request.url == (
            "https://ads-api.x.com/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users"
        )
        assert json.loads(request.body) == [{"operation_type": kind, "params": users}]


def test_version_and_address_are_settings() -> None:
    other = X(replace(ACCOUNT, base_url="http://127.0.0.1:1/x", version="13"), lambda: SECRETS)
    url = other.build_request([EVENT], NOW, "n").url
    assert url == "http://127.0.0.1:1/x/13/measurement/conversions/o8z6j"


@pytest.mark.parametrize("spelling", ["o87ne", "tw-o8z6j-o87ne"])
def test_an_event_may_be_spelled_either_way(spelling: str) -> None:
    event = replace(EVENT, conversion=spelling)
    assert SIGNED.refusal(event, NOW) is None
    assert sent(event)["conversions"][0]["event_id"] == spelling
    answer = standin(tags={"o87ne"}).conversions(call(SIGNED.build_request([event], NOW, "n")))
    assert answer.status == 200


def test_an_address_is_trimmed_and_lower_cased_before_hashing() -> None:
    event = replace(EVENT, ids={}, contact=Contact(email=" Anna@Example.com "))
    assert sent(event)["conversions"][0]["identifiers"] == [{"hashed_email": ANNA_HASHED}]


def test_a_phone_number_is_e164_before_hashing() -> None:
    event = replace(EVENT, ids={}, contact=Contact(phone="+1 (123) 456-7890"))
    assert sent(event)["conversions"][0]["identifiers"] == [
        {"hashed_phone_number": "1fa6b8d986d9b9cd01bf36951815158bbde9f520c0567c835dfe34783d0a4231"}
    ]


def test_the_vector_of_the_documentation_is_of_another_address() -> None:
    """It shows ``d360d510…`` as that of test@x.com."""
    hashes = [
        sent(replace(EVENT, contact=Contact(email=each)))["conversions"][0]["identifiers"][1]
        for each in ("test@twitter.com", "test@x.com")
    ]
    assert [each["hashed_email"][:8] for each in hashes] == ["d360d510", "5806dc6b"]


def test_a_hash_is_not_hashed_again() -> None:
    event = replace(EVENT, ids={}, contact=Contact(email=ANNA_HASHED, phone=ANNA_HASHED))
    assert SIGNED.refusal(event, NOW) is None
    values = [list(each.values()) for each in sent(event)["conversions"][0]["identifiers"]]
    assert values == [[ANNA_HASHED], [ANNA_HASHED]]


def test_the_browser_is_never_told_not_even_as_a_second_identifier() -> None:
    alone = replace(EVENT, ids={}, user_agent="Browser/1")
    assert SIGNED.refusal(alone, NOW) == Reason.NO_IDENTIFIER
    request = SIGNED.build_request([replace(EVENT, user_agent="Browser/1")], NOW, "n")
    assert b"user_agent" not in request.body
    assert b"ip_address" not in request.body


def test_no_price_is_sent_so_none_lacks_its_decimals() -> None:
    assert set(sent(EVENT)["conversions"][0]) == {
        "conversion_time",
        "event_id",
        "identifiers",
        "conversion_id",
    }


def test_a_pixel_and_an_audience_do_not_share_a_request() -> None:
    other = replace(EVENT, site="blog.example")
    groups = [SIGNED.group(each) for each in (EVENT, other, MEMBER, replace(MEMBER, audience="2"))]
    assert len(set(groups)) == 4
    assert SIGNED.group(EVENT) == SIGNED.group(replace(EVENT, conversion="o1"))


def test_no_secret_and_no_visitor_shows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    request = SIGNED.build_request([EVENT], NOW, "n")
    shown = repr(request) + repr(SIGNED) + repr(SECRETS) + request.url + caplog.text
    assert not [each for each in ("x-consumer", "x-token", "v-1", "twclid=") if each in shown]
    assert b"v-1" not in request.body + SIGNED.build_request([MEMBER], NOW, "n").body


# What is refused before it is sent.


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conversion": None}, Reason.NO_TARGET),
        ({"conversion": None, "page": "https://shop.example/"}, Reason.NO_TARGET),
        ({"conversion": "Page View"}, Reason.NO_TARGET),
        ({"conversion": "o87ne\n"}, Reason.NO_TARGET),
        ({"conversion": "tw-o8z7k-o87ne"}, Reason.NO_TARGET),  # another site's pixel
        ({"site": "new.example"}, Reason.NO_TARGET),
        ({"ids": {}}, Reason.NO_IDENTIFIER),
        ({"ids": {"gclid": "g"}}, Reason.NO_IDENTIFIER),
        ({"ids": {"twclid": "anna@example.com"}}, Reason.BAD_IDENTIFIER),
        ({"contact": Contact(email="anna at example.com")}, Reason.BAD_IDENTIFIER),
        ({"contact": Contact(phone="112")}, Reason.BAD_IDENTIFIER),
        ({"contact": Contact(phone="9" * 16)}, Reason.BAD_IDENTIFIER),
        ({"occurred_at": NOW - ACCOUNT.max_age - 1}, Reason.TOO_OLD),
        ({"occurred_at": NOW - ACCOUNT.max_age}, None),
        ({"occurred_at": NOW + MAX_AHEAD + 1}, Reason.TOO_NEW),
        ({"occurred_at": NOW + MAX_AHEAD}, None),
    ],
)
def test_a_conversion_x_would_refuse_is_not_sent(
    change: dict[str, Any], reason: Reason | None
) -> None:
    assert SIGNED.refusal(replace(EVENT, **change), NOW) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"member": False, "occurred_at": 0}, None),
        ({"audience": "B2B"}, Reason.NO_TARGET),
        ({"audience": "../o8z6j"}, Reason.NO_TARGET),
    ],
)
def test_an_audience_is_named_by_its_id(change: dict[str, Any], reason: Reason | None) -> None:
    assert SIGNED.refusal(replace(MEMBER, **change), NOW) == reason


def test_audiences_need_an_account_that_owns_them() -> None:
    x = X(replace(ACCOUNT, ads_account=None), lambda: SECRETS)
    assert x.refusal(MEMBER, NOW) == Reason.NO_TARGET


# What the answers mean.


def test_all_processed_is_delivered() -> None:
    outcome = judge(200, {"data": {"conversions_processed": 3, "debug_id": "d"}})
    assert outcome == Outcome(Verdict.DELIVERED, "200")


def test_all_members_counted_is_delivered() -> None:
    outcome = judge(200, {"data": {"success_count": 3, "total_count": 3}})
    assert outcome.verdict == Verdict.DELIVERED


@pytest.mark.parametrize(
    "content", [None, [], {"data": []}, {"data": {}}, {"data": {"conversions_processed": 2}}]
)
def test_a_200_without_conversions_processed_is_no_success(content: object) -> None:
    assert judge(200, content).verdict == Verdict.UNCERTAIN


@pytest.mark.parametrize("counts", [(2, 3), (2, 2), (0, 3)])
def test_members_miscounted_are_sent_again(counts: tuple[int, int]) -> None:
    data = {"success_count": counts[0], "total_count": counts[1]}
    assert judge(200, {"data": data}).verdict == Verdict.RETRY


def test_operation_errors_name_the_guilty() -> None:
    errors = [[], [{"code": "INVALID_PARAMETER", "message": "…"}], []]
    outcome = judge(400, {"operation_errors": errors})
    assert (outcome.verdict, outcome.guilty) == (Verdict.REFUSED, (1,))


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (400, "INVALID_PARAMETER", Verdict.REFUSED),
        (401, "UNAUTHORIZED_ACCESS", Verdict.UNAUTHORISED),
        (403, "UNAUTHORIZED_CLIENT_APPLICATION", Verdict.STOPPED),
        (404, "NOT_FOUND", Verdict.STOPPED),
        (404, "WEB_EVENT_TAG_NOT_FOUND", Verdict.REFUSED),
        (405, "METHOD_NOT_ALLOWED", Verdict.STOPPED),
        (408, "CANCELLED_REQUEST", Verdict.RETRY),
        (413, None, Verdict.REFUSED),
        (423, "LOCK_ACQUISITION_TIMEOUT", Verdict.RETRY),
        (429, "TOO_MANY_REQUESTS", Verdict.THROTTLED),
        (500, "INTERNAL_ERROR", Verdict.RETRY),
        (503, "OVER_CAPACITY", Verdict.RETRY),
        (504, None, Verdict.UNCERTAIN),
        (302, None, Verdict.STOPPED),
    ],
)
def test_errors_are_told_by_code_and_status(
    status: int, code: str | None, verdict: Verdict
) -> None:
    outcome = judge(status, {"errors": [{"code": code}]} if code else "<html>")
    assert (outcome.verdict, outcome.code) == (verdict, code or str(status))


@pytest.mark.parametrize("content", [{"errors": "x"}, {"errors": ["x"]}, {"errors": [{"code": 1}]}])
def test_odd_errors_are_told_by_status(content: object) -> None:
    assert judge(400, content) == Outcome(Verdict.REFUSED, "400")


@pytest.mark.parametrize("name", ["x_rate_limit_reset", "x_account_rate_limit_reset"])
def test_waits_until_the_limit_is_reset_by_the_clock_of_x(name: str) -> None:
    date = formatdate(1_795_510_000, usegmt=True)
    assert judge(429, date=date, **{name: "1795510090"}).wait == 90.0
    assert judge(429, date=date, **{name: "1795509990"}).wait == 0.0
    assert judge(429, date="today", **{name: "1795510090"}).wait is None
    assert judge(429, date=date, **{name: "soon"}).wait is None
    assert judge(429, date=date, **{name: "999999999999"}).wait == 86_400.0


@pytest.mark.parametrize(
    "date",
    [
        "Tue, 24 Nov 99999999999 08:46:40 GMT",
        "Tue, 24 Nov 9999 08:46:40 +99999999999999",
        "Tue, 24 Nov 2026 08:46:99999999999 -0000",
        "Mon, 01 Jan 0001 00:00:00 -0000",
        "Fri, 31 Dec 9999 23:59:59 -0000",
        "",
    ],
)
def test_a_date_that_is_none_ends_nothing(date: str) -> None:
    wait = judge(429, date=date, x_rate_limit_reset="1795510090").wait
    assert wait is None or 0 <= wait <= 86_400.0


def test_places_beyond_the_batch_blame_nobody() -> None:
    told = {"operation_errors": [None, ["x"], None, ["y"], ["z"]]}
    assert judge(400, told, count=3).guilty == (1,)


def test_the_limit_of_the_account_comes_first() -> None:
    date = formatdate(1_795_510_000, usegmt=True)
    resets = {"x_rate_limit_reset": "1795510001", "x_account_rate_limit_reset": "1795510002"}
    assert judge(429, date=date, **resets).wait == 2.0


def test_an_answer_that_echoes_an_identifier_leaves_no_trace() -> None:
    error = {"code": "anna@example.com", "message": "anna@example.com"}
    assert "anna" not in repr(judge(400, {"errors": [error]}))


def test_x_never_asks_to_be_asked_again() -> None:
    with pytest.raises(NotImplementedError):
        SIGNED.build_poll("ticket")
    with pytest.raises(NotImplementedError):
        SIGNED.read_poll(Response(200, {}, b""), 1)


# The connector against the stand-in.

CONTACTS = st.builds(
    Contact,
    email=st.one_of(st.none(), st.emails(), st.text(max_size=70), st.just(ANNA_HASHED)),
    phone=st.one_of(st.none(), st.from_regex(r"\+?[0-9 ()-]{5,20}", fullmatch=True)),
)
EVENTS = st.builds(
    AdEvent,
    event_id=st.text(min_size=1),
    site=st.just("shop.example"),
    visitor=st.text(),
    occurred_at=st.integers(NOW - ACCOUNT.max_age - 1000, NOW + 2 * MAX_AHEAD),
    epoch=st.just(1),
    conversion=st.sampled_from(["o87ne", "tw-o8z6j-o87ne", "tw-o8z7k-o87ne", "X", ""]),
    ids=st.sampled_from([{}, {"twclid": "2-23opevjt"}, {"twclid": "a b"}]),
    contact=st.one_of(st.none(), CONTACTS),
)
MEMBERS = st.builds(
    replace,
    EVENTS,
    conversion=st.none(),
    audience=st.sampled_from(["1nmth", "X"]),
)


@given(st.lists(st.one_of(EVENTS, MEMBERS), max_size=8), st.text(min_size=1))
def test_what_passes_the_refusal_is_taken(events: list[AdEvent], nonce: str) -> None:
    """And so is its removal, where there is one."""
    batches: dict[object, list[AdEvent]] = {}
    for event in events:
        if SIGNED.refusal(event, NOW) is None:
            for each in filter(None, (event, SIGNED.removal(event))):
                assert SIGNED.refusal(each, NOW) is None
                batches.setdefault(SIGNED.group(each), []).append(each)
    for batch in batches.values():
        server = standin(tags={"o87ne"})
        serve = server.conversions if batch[0].audience is None else server.users
        answer = serve(call(SIGNED.build_request(batch, NOW, nonce)))
        assert SIGNED.read_response(answered(answer), len(batch)).verdict == Verdict.DELIVERED
        assert len(answer.taken if batch[0].member else answer.removed) == len(batch)


def test_a_full_batch_is_taken_and_no_larger_one() -> None:
    for count, verdict in ((500, Verdict.DELIVERED), (501, Verdict.REFUSED)):
        answer = standin().conversions(call(SIGNED.build_request([EVENT] * count, NOW, "n")))
        assert SIGNED.read_response(answered(answer), count).verdict == verdict
    assert SIGNED.limits.events == 500


def test_a_request_that_is_sent_twice_is_not_authorised() -> None:
    server = standin()
    request, signed_anew = (SIGNED.build_request([EVENT], NOW, each) for each in ("a", "b"))
    statuses = [server.conversions(call(each)).status for each in (request, request, signed_anew)]
    assert statuses == [200, 401, 200]


def test_x_throttles_events_and_says_until_when() -> None:
    server = standin(events_a_quarter_hour=2)
    verdicts = []
    for nonce, later in (("a", 0), ("b", 0), ("c", 800_000)):
        request = SIGNED.build_request([EVENT] * 2, NOW + later, nonce)
        answer = server.conversions(call(request, NOW + later))
        verdicts.append(SIGNED.read_response(answered(answer), 2))
    assert [each.verdict for each in verdicts] == [
        Verdict.DELIVERED,
        Verdict.THROTTLED,
        Verdict.DELIVERED,
    ]
    assert verdicts[1].wait == 800.0  # the quarter hour began at 08:45


@pytest.mark.parametrize(
    ("server", "event", "verdict"),
    [
        (standin(token=("x-token", "another")), EVENT, Verdict.UNAUTHORISED),
        (standin(consumer=("x-consumer-key", "another")), EVENT, Verdict.UNAUTHORISED),
        (standin(revoked={"x-token"}), EVENT, Verdict.UNAUTHORISED),
        (standin(version="13"), EVENT, Verdict.STOPPED),
        (standin(pixels={"o8z7k"}), EVENT, Verdict.STOPPED),
        (standin(tags={"o87nf"}), EVENT, Verdict.REFUSED),
        (standin(token=("x-token", "another")), MEMBER, Verdict.UNAUTHORISED),
        (standin(account="18ce54d4x5u"), MEMBER, Verdict.STOPPED),
        (standin(audiences={"2906h"}), MEMBER, Verdict.STOPPED),
        (standin(requests_a_minute=0), MEMBER, Verdict.THROTTLED),
    ],
)
def test_the_stand_in_refuses_and_the_connector_understands(
    server: StandIn, event: AdEvent, verdict: Verdict
) -> None:
    serve = server.conversions if event.audience is None else server.users
    answer = serve(call(SIGNED.build_request([event], NOW, "n")))
    assert SIGNED.read_response(answered(answer), 1).verdict == verdict
