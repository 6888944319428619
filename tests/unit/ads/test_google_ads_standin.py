"""The stand-in for the Data Manager API, over HTTP. Nobody is real."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpClient

from lethe.standins.desk import Desk, Removal
from lethe.standins.google_ads import routes

NOW = 1_795_424_460.0
EVENTS, ENTER, LEAVE, STATUS = (
    f"/v1/{each}"
    for each in (
        "events:ingest",
        "audienceMembers:ingest",
        "audienceMembers:remove",
        "requestStatus:retrieve",
    )
)
BEARER = {"Authorization": "Bearer google-token"}
GRANTED = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"}
DESTINATION = {
    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
    "productDestinationId": "987",
}
HASH = "ab" * 32
EMAIL = {"emailAddress": HASH}
ADDRESS = {"givenName": HASH, "familyName": HASH, "regionCode": "NL", "postalCode": "1000 AA"}
ACCEPTED = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}

Start = Callable[..., Awaitable[Any]]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> Desk:
    return Desk(clock=clock)


@pytest.fixture
def start(desk: Desk, aiohttp_client: AiohttpClient) -> Start:
    async def make(**parameters: Any) -> Any:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.add_routes(routes(desk, **parameters))
        return await aiohttp_client(app)

    return make


def event(name: str = "evt-1", **changed: Any) -> dict[str, Any]:
    return {
        "eventTimestamp": "2026-11-23T09:00:00.000Z",
        "transactionId": name,
        "adIdentifiers": {"gclid": "click-1"},
        "consent": GRANTED,
        **changed,
    }


def events(*told: Any, **changed: Any) -> dict[str, Any]:
    return {"destinations": [DESTINATION], "events": list(told), **changed}


def members(*identifiers: Any, **changed: Any) -> dict[str, Any]:
    return {
        "destinations": [DESTINATION],
        "encoding": "HEX",
        "termsOfService": ACCEPTED,
        "audienceMembers": [
            {"userData": {"userIdentifiers": list(identifiers)}, "consent": GRANTED}
        ],
        **changed,
    }


def leaving(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != "termsOfService"}


async def tell(google: Any, path: str, content: Any, status: int = 200) -> Any:
    answer = await google.post(path, json=content, headers=BEARER)
    assert answer.status == status
    return await answer.json()


async def ask(google: Any, ticket: str) -> Any:
    """Return the status of a request with one destination."""
    answer = await google.get(STATUS, params={"requestId": ticket}, headers=BEARER)
    [status] = (await answer.json())["requestStatusPerDestination"]
    assert status["destination"] == DESTINATION
    return status


async def become(google: Any, content: Any, path: str = EVENTS) -> Any:
    """Return what becomes of a request that is accepted."""
    return await ask(google, (await tell(google, path, content))["requestId"])


def reasons(status: Any) -> dict[str, str]:
    return {each["reason"]: each["recordCount"] for each in status["errorInfo"]["errorCounts"]}


async def test_accepted_is_processing_for_a_moment_and_then_done(
    start: Start, desk: Desk, clock: Clock
) -> None:
    google = await start(processing=0.5)
    ticket = (await tell(google, EVENTS, events(event())))["requestId"]
    assert (await ask(google, ticket))["requestStatus"] == "PROCESSING"
    clock.now += 0.5
    status = await ask(google, ticket)
    assert status["requestStatus"] == "SUCCESS"
    assert status["eventsIngestionStatus"] == {"recordCount": "1"}
    assert desk.taken == {("google-ads", "evt-1"): 1}


async def test_the_same_again_is_a_duplicate_and_with_other_data_an_adjustment(
    start: Start, desk: Desk
) -> None:
    google = await start(processing=0)
    await tell(google, EVENTS, events(event()))
    status = await become(google, events(event()))
    assert status["requestStatus"] == "FAILED"
    assert reasons(status) == {"PROCESSING_ERROR_REASON_DUPLICATE_TRANSACTION_ID": "1"}
    status = await become(google, events(event(conversionValue=1.0)))
    assert status["requestStatus"] == "SUCCESS"
    assert desk.taken["google-ads", "evt-1"] == 1


async def test_reasons_are_counted_and_rows_are_not_named(start: Start, desk: Desk) -> None:
    google = await start(processing=0, failing={"click-2": "TOO_RECENT_CLICK"})
    status = await become(
        google,
        events(
            event("evt-1"),
            event("evt-2", consent={"adUserData": "CONSENT_DENIED"}),
            event("evt-3", consent={}),
            event("evt-4", eventTimestamp="2026-08-25T00:00:00Z"),
            event("evt-5", adIdentifiers={"wbraid": "click-2"}),
            event("evt-6", adIdentifiers={"wbraid": "click-2"}),
        ),
    )
    assert status["requestStatus"] == "PARTIAL_SUCCESS"
    assert reasons(status) == {
        "PROCESSING_ERROR_REASON_DENIED_CONSENT": "1",
        "PROCESSING_ERROR_REASON_UNKNOWN_CONSENT": "1",
        "PROCESSING_ERROR_REASON_EVENT_TOO_OLD": "1",
        "PROCESSING_ERROR_REASON_TOO_RECENT_CLICK": "2",
    }
    assert desk.taken == {("google-ads", "evt-1"): 1}


async def test_consent_of_the_request_holds_where_the_row_has_none(start: Start) -> None:
    google = await start(processing=0)
    bare = event()
    del bare["consent"]
    status = await become(google, events(bare, consent=GRANTED))
    assert status["requestStatus"] == "SUCCESS"


async def test_members_enter_and_leave(start: Start, desk: Desk) -> None:
    google = await start(processing=0)
    told = members({"address": ADDRESS}, {"phoneNumber": HASH})
    status = await become(google, told, ENTER)
    assert status["audienceMembersIngestionStatus"] == {"recordCount": "1"}
    status = await become(google, leaving(told), LEAVE)
    assert status["audienceMembersRemovalStatus"] == {"recordCount": "1"}
    assert desk.taken == {("google-ads", f"987:{HASH}"): 1}
    assert desk.removed == {("google-ads", Removal("987", HASH)): 1}


async def test_a_member_without_consent_is_not_taken(start: Start, desk: Desk) -> None:
    google = await start(processing=0)
    for consent, reason in (({}, "UNKNOWN"), ({"adUserData": "CONSENT_DENIED"}, "DENIED")):
        member = {"userData": {"userIdentifiers": [EMAIL]}, "consent": consent}
        status = await become(google, members(audienceMembers=[member]), ENTER)
        assert reasons(status) == {f"PROCESSING_ERROR_REASON_{reason}_CONSENT": "1"}
    assert not desk.taken


@pytest.mark.parametrize(
    ("path", "content", "at", "reason"),
    [
        (EVENTS, events(), "events", "REQUIRED_FIELD_MISSING"),
        (EVENTS, events(*[event()] * 2_001), "events", "TOO_MANY_EVENTS"),
        (EVENTS, events(event(), {}), "events.events[1].event_timestamp", "REQUIRED_FIELD_MISSING"),
        (EVENTS, events(event(), "x"), "events.events[1]", "INVALID_FORMAT"),
        (EVENTS, events(event(x=1)), "events.events[0]", "INVALID_FORMAT"),
        (EVENTS, events(event(adIdentifiers={})), "events.events[0]", "NO_IDENTIFIERS_PROVIDED"),
        (
            EVENTS,
            events(event(adIdentifiers={"li_fat_id": "x"})),
            "events.events[0].ad_identifiers",
            "INVALID_FORMAT",
        ),
        (
            EVENTS,
            events(event(eventTimestamp=1795424400)),
            "events.events[0].event_timestamp",
            "INVALID_FORMAT",
        ),
        (
            EVENTS,
            events(event(eventTimestamp="2026-13-23T09:00:00Z")),
            "events.events[0].event_timestamp",
            "INVALID_FORMAT",
        ),
        (
            EVENTS,
            events(event(consent={"adUserData": "GRANTED"})),  # the Google Ads API's word
            "events.events[0].consent",
            "INVALID_ENUM_VALUE",
        ),
        (
            EVENTS,
            events(event(eventSource="SHOP")),
            "events.events[0].event_source",
            "INVALID_ENUM_VALUE",
        ),
        (
            EVENTS,
            events(event(userData={"userIdentifiers": [EMAIL]})),
            "encoding",
            "REQUIRED_FIELD_MISSING",
        ),
        (EVENTS, {**events(event()), "destinations": []}, "destinations", "REQUIRED_FIELD_MISSING"),
        (
            EVENTS,
            {**events(event()), "destinations": [DESTINATION] * 11},
            "destinations",
            "TOO_MANY_DESTINATIONS",
        ),
        (
            EVENTS,
            {**events(event()), "destinations": [{**DESTINATION, "productDestinationId": "tea"}]},
            "destinations.destinations[0]",
            "INVALID_DESTINATION",
        ),
        (
            EVENTS,
            {**events(event()), "destinations": [{"productDestinationId": "987"}]},
            "destinations.destinations[0]",
            "INVALID_DESTINATION",
        ),
        (EVENTS, events(event(), x=1), "", "INVALID_FORMAT"),
        (EVENTS, [], "", "INVALID_FORMAT"),
        (
            ENTER,
            leaving(members(EMAIL)),
            "terms_of_service",
            "TERMS_AND_CONDITIONS_NOT_SIGNED",
        ),
        (LEAVE, members(EMAIL), "", "INVALID_FORMAT"),  # it has no terms
        (
            ENTER,
            members(audienceMembers=[{}] * 10_001),
            "audienceMembers",
            "TOO_MANY_AUDIENCE_MEMBERS",
        ),
        (
            ENTER,
            members(audienceMembers=[{}]),
            "audienceMembers.audienceMembers[0]",
            "INVALID_AUDIENCE_MEMBER",
        ),
    ],
)
async def test_one_fault_has_the_whole_request_refused(
    start: Start, desk: Desk, path: str, content: Any, at: str, reason: str
) -> None:
    error = (await tell(await start(), path, content, 400))["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    [info, request] = error["details"]
    assert info["domain"] == "datamanager.googleapis.com"
    assert (at, reason) in {(each["field"], each["reason"]) for each in request["fieldViolations"]}
    assert not desk.taken


@pytest.mark.parametrize(
    ("identifiers", "reason"),
    [
        ([], "REQUIRED_FIELD_MISSING"),
        ([EMAIL] * 11, "TOO_MANY_USER_IDENTIFIERS"),
        ([{"emailAddress": "ann@example.com"}], "INVALID_SHA256_FORMAT"),
        ([{**EMAIL, "phoneNumber": HASH}], "INVALID_FORMAT"),  # one each
        ([{"addressInfo": ADDRESS}], "INVALID_FORMAT"),
        ([{"address": {**ADDRESS, "postalCode": ""}}], "REQUIRED_FIELD_MISSING"),
        ([{"address": {**ADDRESS, "regionCode": "Netherlands"}}], "INVALID_COUNTRY_CODE"),
        ([{"address": {**ADDRESS, "givenName": "ann"}}], "INVALID_SHA256_FORMAT"),
    ],
)
async def test_identifiers_are_hashed_and_whole(
    start: Start, identifiers: list[Any], reason: str
) -> None:
    google = await start()
    for path, content in (
        (ENTER, members(*identifiers)),
        (LEAVE, leaving(members(*identifiers))),
    ):
        error = (await tell(google, path, content, 400))["error"]
        assert reason in {each["reason"] for each in error["details"][1]["fieldViolations"]}


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "CREDENTIALS_MISSING"),
        ("Bearer google-expired", "ACCESS_TOKEN_EXPIRED"),
        ("Bearer google-revoked", "ACCOUNT_STATE_INVALID"),
        ("Bearer other", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ],
)
async def test_tokens(start: Start, desk: Desk, authorization: str, reason: str) -> None:
    google = await start()
    headers = {"Authorization": authorization}
    for answer in (
        await google.post(EVENTS, json=events(event()), headers=headers),
        await google.get(STATUS, params={"requestId": "standin-1"}, headers=headers),
    ):
        error = (await answer.json())["error"]
        assert (answer.status, error["status"]) == (401, "UNAUTHENTICATED")
        assert error["details"][0]["reason"] == reason
    assert not desk.taken


async def test_another_account_is_not_permitted(start: Start) -> None:
    error = await tell(await start(accounts=("1",)), EVENTS, events(event()), 403)
    assert error["error"]["status"] == "PERMISSION_DENIED"


async def test_reads_and_writes_have_quotas_of_their_own(start: Start, clock: Clock) -> None:
    google = await start(processing=0, requests_a_minute=2, requests_a_day=3)
    for _ in range(2):
        await become(google, events(event()))
    error = (await tell(google, EVENTS, events(event()), 429))["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED"
    quota = "IngestionMutateRequestsPerMinutePerProject"
    assert error["details"][0]["metadata"] == {"quota_limit": quota}
    answer = await google.get(STATUS, params={"requestId": "standin-1"}, headers=BEARER)
    metadata = (await answer.json())["error"]["details"][0]["metadata"]
    assert metadata == {"quota_limit": "IngestionReadRequestsPerMinutePerProject"}
    clock.now += 60
    await tell(google, EVENTS, events(event()))
    error = (await tell(google, EVENTS, events(event()), 429))["error"]
    assert error["details"][0]["metadata"]["quota_limit"].endswith("PerDayPerProject")


async def test_validate_only_takes_nothing_and_has_no_status(start: Start, desk: Desk) -> None:
    assert await tell(await start(), EVENTS, events(event(), validateOnly=True)) == {}
    assert not desk.taken


async def test_a_ticket_that_is_none(start: Start) -> None:
    google = await start()
    answer = await google.get(STATUS, params={"requestId": "other"}, headers=BEARER)
    assert answer.status == 400
    [violation] = (await answer.json())["error"]["details"][1]["fieldViolations"]
    assert violation["reason"] == "INVALID_REQUEST_ID"


async def test_10000_members_are_taken(start: Start, desk: Desk) -> None:
    member = {"userData": {"userIdentifiers": [EMAIL]}, "consent": GRANTED}
    await tell(await start(), ENTER, members(audienceMembers=[member] * 10_000))
    assert desk.taken.total() == 10_000
