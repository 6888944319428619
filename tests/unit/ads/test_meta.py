"""Meta's connector: what is refused, what is asked, and what its answers mean. Nobody is real."""

import hmac
import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.standins.desk import Call, Desk, Judge
from lethe.standins.meta import routes
from privacy.ads import AdEvent, Contact
from privacy.outcome import Reason
from sinks.ads.contract import Outcome, Request, Response, Verdict
from sinks.ads.hashing import hashed, member
from sinks.ads.meta import Account, Meta

NOW = 1_795_424_460_000
DAY = 86_400_000
SECRET = "meta-token"
ACCOUNT = Account(pixels={"shop.example": "1234"})
FBP, FBC = "fb.1.1795424000000.123456789", "fb.1.1795424000000.IwAR_aBc-XyZ"
VISIT = AdEvent(
    event_id="evt-1",
    site="shop.example",
    visitor="c-1",
    occurred_at=NOW - 60_000,
    epoch=1,
    page="https://shop.example/tea",
    ids={"fbp": FBP},
    user_agent="Mozilla/5.0 (Example)",
)
TEXT = st.text(max_size=9)
MEMBER = AdEvent("evt-2", "shop.example", "c-1", NOW - 9 * DAY, 1, audience="6001")
PERSON = Contact("john_smith@gmail.com", "+1 650 555 1212", "Ann", "O'Hara", "US", "94025-1234")


@pytest.fixture
def meta() -> Meta:
    return Meta(ACCOUNT, lambda: SECRET)


def sent(connector: Meta, *events: AdEvent) -> Any:
    """Return the body of the request for ``events``."""
    return json.loads(connector.build_request(events, NOW, "n").body)


def told(connector: Meta, event: AdEvent) -> Any:
    """Return the event as Meta is told of it."""
    return sent(connector, event)["data"][0]


# What is asked


def test_a_page_visited_as_meta_documents_it(meta: Meta) -> None:
    request = meta.build_request([VISIT], NOW, "n")
    assert (request.method, request.url) == ("POST", "https://graph.facebook.com/v26.0/1234/events")
    assert request.headers == {
        "Authorization": "Bearer meta-token",
        "Content-Type": "application/json",
    }
    assert json.loads(request.body) == {
        "data": [
            {
                "event_name": "PageView",
                "event_time": 1_795_424_400,
                "event_id": "evt-1",
                "action_source": "website",
                "event_source_url": "https://shop.example/tea",
                "user_data": {"client_user_agent": "Mozilla/5.0 (Example)", "fbp": FBP},
                "opt_out": False,
                "data_processing_options": [],
            }
        ]
    }


def test_a_person_known_from_elsewhere_is_hashed_as_meta_asks(meta: Meta) -> None:
    user = told(meta, replace(VISIT, contact=PERSON))["user_data"]
    assert user["em"][0].startswith("62a14e44")  # gmail's dots are kept
    assert user["ph"][0].startswith("e323ec62")  # no plus, no spaces
    assert user["fn"] == [hashed("ann")]
    assert user["ln"] == [hashed("ohara")]
    assert user["country"] == [hashed("us")]
    assert user["zp"] == [hashed("94025")]


def test_what_is_hashed_already_is_not_hashed_again(meta: Meta) -> None:
    once = Contact(*(hashed(text) for text in ("ann@example.com", "16505551212", "ann", "ohara")))
    user = told(meta, replace(VISIT, contact=once))["user_data"]
    assert [user[key][0] for key in ("em", "ph", "fn", "ln")] == [
        once.email, once.phone, once.first_name, once.last_name,
    ]  # fmt: skip


def test_fbp_and_fbc_are_never_hashed_and_keep_their_case(meta: Meta) -> None:
    user = told(meta, replace(VISIT, ids={"fbp": FBP, "fbc": FBC}))["user_data"]
    assert (user["fbp"], user["fbc"]) == (FBP, FBC)


def test_only_metas_own_ids_go_to_meta(meta: Meta) -> None:
    body = meta.build_request(
        [replace(VISIT, ids={"fbp": FBP, "gclid": "g-1", "twclid": "t-1"})], NOW, "n"
    ).body
    assert b"gclid" not in body
    assert b"twclid" not in body
    assert b"c-1" not in body  # nor the cookie id


def test_a_country_is_a_code_before_it_is_hashed(meta: Meta) -> None:
    named = replace(VISIT, contact=Contact(email="ann@example.com", country="Nederland"))
    assert meta.refusal(named, NOW) == Reason.BAD_IDENTIFIER


def test_limited_data_use_says_where_and_without_it_nothing_says_where() -> None:
    limited = told(Meta(replace(ACCOUNT, limited_data_use=(1, 1000)), lambda: SECRET), VISIT)
    assert limited["data_processing_options"] == ["LDU"]
    assert limited["data_processing_options_country"] == 1
    assert limited["data_processing_options_state"] == 1000
    free = told(Meta(ACCOUNT, lambda: SECRET), VISIT)
    assert [key for key in free if key.startswith("data_processing")] == ["data_processing_options"]


def test_opt_out_and_test_code_are_settings() -> None:
    account = replace(ACCOUNT, opt_out=True, test_event_code="TEST1")
    body = sent(Meta(account, lambda: SECRET), VISIT)
    assert body["data"][0]["opt_out"] is True
    assert body["test_event_code"] == "TEST1"


@pytest.mark.parametrize(("stays", "method"), [(True, "POST"), (False, "DELETE")])
def test_membership_is_by_pseudonym(meta: Meta, method: str, *, stays: bool) -> None:
    request = meta.build_request([replace(MEMBER, member=stays)], NOW, "n")
    assert request.method == method
    assert request.url == "https://graph.facebook.com/v26.0/6001/users"
    assert json.loads(request.body) == {
        "payload": {"schema": ["EXTERN_ID"], "data": [[member("shop.example", "c-1")]]}
    }


def test_members_of_whom_more_is_known_share_one_table(meta: Meta) -> None:
    body = sent(meta, MEMBER, replace(MEMBER, visitor="c-2", contact=PERSON))
    assert body["payload"]["schema"] == [
        "EXTERN_ID", "EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY",
    ]  # fmt: skip
    assert body["payload"]["data"][0] == [member("shop.example", "c-1"), *[""] * 6]
    assert body["payload"]["data"][1][1].startswith("62a14e44")


def test_the_same_events_make_the_same_request(meta: Meta) -> None:
    assert meta.build_request([VISIT], NOW, "a") == meta.build_request([VISIT], NOW + 1, "b")


def test_groups_keep_pixels_audiences_and_leaving_apart(meta: Meta) -> None:
    out = replace(MEMBER, member=False)
    other = replace(MEMBER, audience="6002")
    assert len({meta.group(event) for event in (VISIT, MEMBER, out, other)}) == 4
    assert meta.group(VISIT) == meta.group(replace(VISIT, event_id="evt-9"))


def test_no_secret_in_url_body_or_repr() -> None:
    connector = Meta(ACCOUNT, lambda: "tok-1", lambda: "app-1")
    for request in (
        connector.build_request([VISIT], NOW, "n"),
        connector.build_request([MEMBER], NOW, "n"),
        connector.build_request([replace(MEMBER, member=False)], NOW, "n"),
    ):
        shown = f"{request!r}{request.url}{request.body!r}{connector!r}"
        assert "tok-1" not in shown
        assert "app-1" not in shown
        proof = hmac.new(b"app-1", b"tok-1", sha256).hexdigest()
        assert request.secret_query == {"appsecret_proof": proof}
        assert proof not in shown


def test_a_new_token_is_read_for_each_request() -> None:
    tokens = iter(("old", "new"))
    connector = Meta(ACCOUNT, lambda: next(tokens))
    requests = [connector.build_request([VISIT], NOW, "n") for _ in range(2)]
    assert [each.headers["Authorization"] for each in requests] == ["Bearer old", "Bearer new"]


# What is refused


def test_what_meta_takes_is_not_refused(meta: Meta) -> None:
    for event in (
        VISIT,
        MEMBER,
        replace(MEMBER, member=False),
        replace(VISIT, ids={"fbc": FBC}),
        replace(VISIT, ids={"fbp": f"{FBP}.AQYBAQIA"}),  # as Meta's own library writes it
        replace(VISIT, ids={}, contact=Contact(email="ann@example.com")),
        replace(VISIT, ids={}, contact=Contact(phone="+31 20 555 01 23")),
    ):
        assert meta.refusal(event, NOW) is None


def test_one_event_older_than_seven_days_would_spoil_the_batch(meta: Meta) -> None:
    assert meta.refusal(replace(VISIT, occurred_at=NOW - 8 * DAY), NOW) == Reason.TOO_OLD
    assert meta.refusal(replace(VISIT, occurred_at=NOW - 7 * DAY), NOW) == Reason.TOO_OLD
    assert meta.refusal(replace(VISIT, occurred_at=NOW - 7 * DAY + 60_000), NOW) is None


def test_at_most_a_minute_of_the_future(meta: Meta) -> None:
    assert meta.refusal(replace(VISIT, occurred_at=NOW + 60_000), NOW) is None
    assert meta.refusal(replace(VISIT, occurred_at=NOW + 60_001), NOW) == Reason.TOO_NEW


@pytest.mark.parametrize("user_agent", [None, "", "  "])
def test_a_page_without_user_agent_is_refused(meta: Meta, user_agent: str | None) -> None:
    assert meta.refusal(replace(VISIT, user_agent=user_agent), NOW) == Reason.NO_USER_AGENT


def test_a_page_without_id_or_contact_is_refused(meta: Meta) -> None:
    assert meta.refusal(replace(VISIT, ids={"gclid": "g"}), NOW) == Reason.NO_IDENTIFIER
    # Combinations that Meta calls too thin to tell anybody by.
    thin = Contact(first_name="Ann", last_name="Example", country="NL", postal_code="1011")
    assert meta.refusal(replace(VISIT, ids={}, contact=thin), NOW) == Reason.NO_IDENTIFIER


@pytest.mark.parametrize(
    "ids",
    [
        {"fbp": "123456789"},
        {"fbp": "fb.1.1795424000.123456789"},  # seconds, where milliseconds belong
        {"fbc": "fb.1.1795424000000."},
        {"fbc": FBC + "\n"},
        {"fbp": FBP, "fbc": hashed(FBC)},
        {"fbp": "fb.1.١٧٩٥٤٢٤٠٠٠٠٠٠.1"},
    ],
)
def test_an_id_that_is_none_of_metas_is_refused(meta: Meta, ids: dict[str, str]) -> None:
    assert meta.refusal(replace(VISIT, ids=ids), NOW) == Reason.BAD_IDENTIFIER


@pytest.mark.parametrize(
    "contact",
    [Contact(email="ann"), Contact(email="a@b@example.com"), Contact(phone="call me"),
     Contact(email="ann@example.com", phone="12"), Contact(phone="+" + "1" * 16)],
)  # fmt: skip
def test_a_contact_that_matches_nobody_is_refused(meta: Meta, contact: Contact) -> None:
    for event in (VISIT, MEMBER):
        assert meta.refusal(replace(event, contact=contact), NOW) == Reason.BAD_IDENTIFIER


@pytest.mark.parametrize(
    "page",
    [
        "/tea",
        "shop.example/tea",
        "ftp://shop.example/",
        "http://[x/",
        "HTTP://x.example",
        " http://x.example",
        "http://x.example/ ",
    ],
)
def test_a_page_that_is_no_url_is_refused(meta: Meta, page: str) -> None:
    assert meta.refusal(replace(VISIT, page=page), NOW) == Reason.BAD_NAME


def test_what_goes_nowhere_is_refused(meta: Meta) -> None:
    for event in (
        replace(VISIT, site="www.example"),  # no pixel
        replace(VISIT, page=None, conversion="Lead"),  # a website event has a page
        replace(MEMBER, audience="../me"),
        replace(MEMBER, audience=""),
    ):
        assert meta.refusal(event, NOW) == Reason.NO_TARGET
    assert meta.refusal(replace(MEMBER, visitor=""), NOW) == Reason.NO_IDENTIFIER


# What answers mean


def judged(
    meta: Meta, status: int, content: object, count: int = 1, **headers: str
) -> tuple[Verdict, str]:
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    outcome = meta.read_response(Response(status, named, body), count)
    assert outcome.guilty == ()
    return outcome.verdict, outcome.code


def failed(code: int, subcode: int | None = None, **more: object) -> dict[str, object]:
    return {"error": {"message": "ann@example.com", "code": code, "error_subcode": subcode, **more}}


def test_delivered_is_when_all_were_received(meta: Meta) -> None:
    assert judged(meta, 200, {"events_received": 2, "messages": []}, 2) == ("delivered", "")
    assert judged(meta, 200, {"num_received": 2, "num_invalid_entries": 0}, 2)[0] == "delivered"
    assert judged(meta, 200, {"events_received": 1}, 2)[0] == Verdict.RETRY


def test_members_that_are_invalid_are_sought_by_halving(meta: Meta) -> None:
    answer = {"num_received": 2, "num_invalid_entries": 1, "invalid_entry_samples": {"0": "x"}}
    assert judged(meta, 200, answer, 2) == (Verdict.REFUSED, "num_invalid_entries")


@pytest.mark.parametrize(
    ("status", "code", "subcode", "verdict"),
    [
        (400, 190, None, Verdict.UNAUTHORISED),
        (400, 190, 463, Verdict.UNAUTHORISED),
        (401, 102, None, Verdict.UNAUTHORISED),
        (400, 100, None, Verdict.REFUSED),
        (400, 100, 2804003, Verdict.REFUSED),
        (400, 100, 2804009, Verdict.REFUSED),
        (400, 100, 2804050, Verdict.REFUSED),
        (400, 100, 33, Verdict.STOPPED),
        (400, 100, 1713230, Verdict.STOPPED),
        (403, 200, None, Verdict.STOPPED),
        (403, 3, None, Verdict.STOPPED),
        (400, 2635, None, Verdict.STOPPED),
        (500, 1, None, Verdict.RETRY),
        (503, 2, None, Verdict.RETRY),
        (400, 341, None, Verdict.RETRY),
        (500, 5000, None, Verdict.RETRY),
        (400, 4, None, Verdict.THROTTLED),
        (403, 80003, None, Verdict.THROTTLED),
        (418, 987654, None, Verdict.REFUSED),
        (500, 987654, None, Verdict.RETRY),
    ],
)
def test_the_code_decides(
    meta: Meta, status: int, code: int, subcode: int | None, verdict: Verdict
) -> None:
    shown = f"{code}/{subcode}" if subcode else str(code)
    assert judged(meta, status, failed(code, subcode)) == (verdict, shown)


def test_a_400_that_must_be_tried_again(meta: Meta) -> None:
    assert judged(meta, 400, failed(21009)) == (Verdict.RETRY, "21009")


def test_a_500_that_is_throttling(meta: Meta) -> None:
    assert judged(meta, 500, failed(17)) == (Verdict.THROTTLED, "17")


def test_an_unknown_code_that_says_it_passes_is_tried_again(meta: Meta) -> None:
    assert judged(meta, 400, failed(987654, is_transient=True))[0] == Verdict.RETRY


@pytest.mark.parametrize("status", [200, 302, 404, 502])
@pytest.mark.parametrize("body", ["<html>ann@example.com</html>", "", "[]", "null", "\xff"])
def test_an_answer_that_is_not_metas_is_tried_again(meta: Meta, status: int, body: str) -> None:
    assert judged(meta, status, body) == (Verdict.RETRY, f"http_{status}")


def wait_for(meta: Meta, usage: str) -> float | None:
    header = {"x-business-use-case-usage": usage}
    return meta.read_response(Response(400, header, json.dumps(failed(80003)).encode()), 1).wait


def test_throttling_waits_as_long_as_meta_says(meta: Meta) -> None:
    uses = [{"estimated_time_to_regain_access": minutes} for minutes in (3, 19)]
    assert wait_for(meta, json.dumps({"1": uses})) == 19 * 60
    for usage in ("", "x", "[]", "{}", '{"1":[{}]}', '{"1":5}', '{"1":[]}'):
        assert wait_for(meta, usage) is None


@pytest.mark.parametrize(
    ("minutes", "wait"),
    [
        ("1" + "0" * 400, 86_400.0),  # more than a float holds
        ("1e300", 86_400.0),
        ("1441", 86_400.0),
        ("1e999", None),
        ("Infinity", None),
        ("NaN", None),
        ("-5", None),
        ("[" * 100_000, None),
        ("[" * 900 + "]" * 900, None),
    ],
)
def test_a_wait_that_is_none_is_not_waited_for(
    meta: Meta, minutes: str, wait: float | None
) -> None:
    assert wait_for(meta, f'{{"1":[{{"estimated_time_to_regain_access":{minutes}}}]}}') == wait


@pytest.mark.parametrize("code", [31_612_345_678, 10**400, -(10**400)])
def test_a_number_that_is_no_code_is_not_told(meta: Meta, code: int) -> None:
    told = {"error": {"code": code, "error_subcode": code}}
    assert judged(meta, 400, told) == (Verdict.REFUSED, "0")


ANYTHING = st.none() | st.booleans() | st.integers() | TEXT | st.just([]) | st.just({})


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=20)
    | st.dictionaries(
        st.sampled_from(["error", "events_received", "num_received"]),
        ANYTHING | st.dictionaries(st.sampled_from(["code", "error_subcode"]), ANYTHING),
    ).map(lambda content: json.dumps(content).encode()),
)
def test_any_answer_has_a_verdict_that_repeats_no_text(status: int, body: bytes) -> None:
    outcome = Meta(ACCOUNT, lambda: SECRET).read_response(Response(status, {}, body), 1)
    assert outcome.code.replace("/", "").replace("-", "").isalnum() or outcome.code in {
        "", "num_invalid_entries", f"http_{status}",
    }  # fmt: skip


# What is built is what the stand-in takes


class Facing(Desk):
    """A desk that is asked without a socket: keeps the judges that the stand-in gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.judges: dict[str, Judge] = {}
        routes(self)

    def serve(self, provider: str, judge: Judge) -> Any:
        self.judges[judge.__name__] = judge
        return super().serve(provider, judge)

    def outcome(self, request: Request) -> Outcome:
        """Return how the connector reads what the stand-in answers."""
        path = request.url.removeprefix(ACCOUNT.base_url)
        headers = {name.lower(): value for name, value in request.headers.items()}
        content = json.loads(request.body)
        call = Call("meta", NOW, request.method, path, {}, headers, content, len(request.body))
        answer = self.judges["users" if "users" in path else "events"](call)
        self.taken.update(("meta", each) for each in answer.taken)
        count = len(content.get("payload", content)["data"])
        response = Response(answer.status, answer.headers, json.dumps(answer.content).encode())
        return Meta(ACCOUNT, lambda: SECRET).read_response(response, count)


CONTACTS = st.builds(
    Contact,
    email=st.none() | st.sampled_from([" Ann@Example.com", "ann", hashed("ann")]) | TEXT,
    phone=st.none() | st.sampled_from(["+31 (20) 555-0123", "00316555", hashed("1")]) | TEXT,
    first_name=st.none() | TEXT,
    last_name=st.none() | TEXT,
    country=st.none() | st.sampled_from(["US", "nl", "Deutschland"]),
    postal_code=st.none() | TEXT,
)
PAGES = st.sampled_from(["https://shop.example/tea?utm_source=a", "http://www.example"])
IDS = st.fixed_dictionaries(
    {}, optional={"fbp": st.sampled_from([FBP, "x"]), "fbc": st.just(FBC), "gclid": TEXT}
)
TIMES = st.integers(NOW - 7 * DAY, NOW + 61_000)
VISITS = st.builds(
    AdEvent,
    event_id=st.uuids().map(str),
    site=st.just("shop.example"),
    visitor=TEXT,
    occurred_at=TIMES | st.sampled_from([NOW - 7 * DAY + 60_000, NOW + 60_000]),
    epoch=st.just(1),
    page=PAGES | st.sampled_from([" http://shop.example", "HTTP://shop.example"]),
    ids=IDS,
    user_agent=st.just("Mozilla/5.0 (Example)") | TEXT,
    contact=st.none() | CONTACTS,
)
MEMBERS = st.builds(
    AdEvent,
    event_id=st.uuids().map(str),
    site=st.just("shop.example"),
    visitor=TEXT,
    occurred_at=TIMES,
    epoch=st.just(1),
    audience=st.sampled_from(["6001", "x"]),
    contact=st.none() | CONTACTS,
)


@given(st.lists(VISITS | MEMBERS, max_size=8))
def test_whatever_is_not_refused_is_taken(events: list[AdEvent]) -> None:
    """And so is its removal, where there is one."""
    connector, groups = Meta(ACCOUNT, lambda: SECRET), {}
    for event in events:
        if connector.refusal(event, NOW) is None:
            for each in filter(None, (event, connector.removal(event))):
                assert connector.refusal(each, NOW) is None
                groups.setdefault(connector.group(each), []).append(each)
    for group in groups.values():
        desk = Facing()
        assert desk.outcome(connector.build_request(group, NOW, "n")).verdict == Verdict.DELIVERED
        if group[0].page is not None:
            assert {each for _, each in desk.taken} == {event.event_id for event in group}


def test_a_full_batch_is_taken_and_one_more_is_not(meta: Meta) -> None:
    events = [replace(VISIT, event_id=f"full-{n}") for n in range(meta.limits.events + 1)]
    full, over = (meta.build_request(batch, NOW, "n") for batch in (events[:-1], events))
    assert Facing().outcome(full).verdict == Verdict.DELIVERED
    assert Facing().outcome(over).verdict == Verdict.REFUSED


def test_the_same_event_again_counts_once(meta: Meta) -> None:
    desk = Facing()
    for _ in range(2):
        assert desk.outcome(meta.build_request([VISIT], NOW, "n")).verdict == Verdict.DELIVERED
    assert desk.taken == {("meta", "evt-1"): 1}
