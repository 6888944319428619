"""Stand-in for Google's Data Manager API: events and audience members of Google Ads, in JSON.

It refuses a request whole, by the places at fault, or accepts it and judges it later. Its status is
PROCESSING for a moment, and then counts by reason the records that were not taken.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from lethe.standins.desk import Answer, Call, Desk, Removal

EVENTS, MEMBERS, IDENTIFIERS, DESTINATIONS = 2_000, 10_000, 10, 10  # at most
KEPT = 100_000  # requests whose status is known
DAY = 86_400_000  # milliseconds

SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]+")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
FIELDS = {
    "events:ingest": {"destinations", "events", "consent", "validateOnly", "encoding"},
    "audienceMembers:ingest": {
        "destinations", "audienceMembers", "consent", "validateOnly", "encoding", "termsOfService",
    },
    "audienceMembers:remove": {"destinations", "audienceMembers", "validateOnly", "encoding"},
}  # fmt: skip
EVENT = {
    "destinationReferences", "transactionId", "eventTimestamp", "lastUpdatedTimestamp", "userData",
    "consent", "adIdentifiers", "currency", "conversionValue", "eventSource", "eventDeviceInfo",
    "cartData", "customVariables", "experimentalFields", "userProperties",
}  # fmt: skip
AD_IDENTIFIERS = {"sessionAttributes", "gclid", "gbraid", "wbraid", "landingPageDeviceInfo"}
SOURCES = {"WEB", "APP", "IN_STORE", "PHONE", "OTHER"}
CONSENT = {"CONSENT_GRANTED", "CONSENT_DENIED", "CONSENT_STATUS_UNSPECIFIED"}
ADDRESS = {"givenName", "familyName", "regionCode", "postalCode"}

Fault = tuple[str, str]  # path of the field, reason


@dataclass(frozen=True, slots=True)
class Case:
    """An accepted request: what its status will say when it is processed, from ``done`` on."""

    done: int
    statuses: Sequence[Mapping[str, Any]]
    pending: Sequence[Mapping[str, Any]]


def routes(
    desk: Desk,
    *,
    token: str = "google-token",  # noqa: S107 - a made-up one
    expired: str = "google-expired",
    revoked: str = "google-revoked",
    accounts: Collection[str] | None = None,
    processing: float = 0.5,
    requests_a_minute: int = 300,
    requests_a_day: int = 100_000,
    oldest_days: int = 90,
    failing: Mapping[str, str] | None = None,
) -> list[web.RouteDef]:
    """Return the routes. ``accounts`` are those the token may use; None: all.

    A request is PROCESSING for ``processing`` seconds. ``failing`` are click ids and the reasons
    why they are not taken, as ``TOO_RECENT_CLICK``.
    """
    manager = _DataManager(
        {expired: "ACCESS_TOKEN_EXPIRED", revoked: "ACCOUNT_STATE_INVALID", token: ""},
        accounts,
        int(processing * 1000),
        {"Minute": requests_a_minute, "Day": requests_a_day},
        oldest_days * DAY,
        failing or {},
    )
    ingest = desk.serve("google-ads", manager.ingest)
    return [
        *(web.post(f"/v1/{method}", ingest) for method in FIELDS),
        web.get("/v1/requestStatus:retrieve", desk.serve("google-ads", manager.status)),
    ]


class _DataManager:
    """Judges calls; remembers what it was told, and what it has still to tell."""

    def __init__(  # noqa: PLR0917 - see routes
        self,
        tokens: Mapping[str, str],
        accounts: Collection[str] | None,
        processing: int,
        quotas: Mapping[str, int],
        oldest: int,
        failing: Mapping[str, str],
    ) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._processing = processing
        self._quotas = quotas
        self._oldest = oldest
        self._failing = failing
        self._used: Counter[tuple[str, str, int]] = Counter()
        self._cases: dict[str, Case] = {}
        self._accepted = 0
        self._conversions: dict[tuple[str, ...], object] = {}

    def ingest(self, call: Call) -> Answer:
        """Judge POST of events, and of members that enter or leave an audience."""
        method = call.path.rpartition("/")[2]
        barred = self._unauthenticated(call) or self._throttled("Mutate", call.began)
        if barred is not None:
            return barred
        content = call.content
        if not isinstance(content, dict) or not FIELDS[method] >= content.keys():
            return _error(400, "INVALID_ARGUMENT", [("", "INVALID_FORMAT")])
        faults = list(_faults(method, content))
        if faults:
            return _error(400, "INVALID_ARGUMENT", faults)
        if not self._permitted(content["destinations"]):
            return _error(403, "PERMISSION_DENIED")
        if content.get("validateOnly"):
            return Answer(200, {})
        self._accepted += 1
        ticket = f"standin-{self._accepted}"
        taken: Sequence[str] = ()
        removed: Sequence[Removal] = ()
        if method == "events:ingest":
            self._cases[ticket], taken = self._events(content, call.began)
        elif method == "audienceMembers:ingest":
            self._cases[ticket], entered = self._members(content, call.began, leaving=False)
            taken = [":".join(each) for each in entered]
        else:
            self._cases[ticket], removed = self._members(content, call.began, leaving=True)
        if len(self._cases) > KEPT:
            del self._cases[next(iter(self._cases))]
        return Answer(200, {"requestId": ticket}, taken=taken, removed=removed)

    def status(self, call: Call) -> Answer:
        """Judge GET /v1/requestStatus:retrieve?requestId=."""
        barred = self._unauthenticated(call) or self._throttled("Read", call.began)
        if barred is not None:
            return barred
        case = self._cases.get(call.query.get("requestId", ""))
        if case is None:
            return _error(400, "INVALID_ARGUMENT", [("request_id", "INVALID_REQUEST_ID")])
        statuses = case.pending if call.began < case.done else case.statuses
        return Answer(200, {"requestStatusPerDestination": statuses})

    def _unauthenticated(self, call: Call) -> Answer | None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return _error(401, "UNAUTHENTICATED", reason="CREDENTIALS_MISSING")
        why = self._tokens.get(token, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
        return _error(401, "UNAUTHENTICATED", reason=why) if why else None

    def _throttled(self, operation: str, now: int) -> Answer | None:
        for window, length in (("Minute", 60_000), ("Day", DAY)):
            key = operation, window, now // length
            if self._used[key] >= self._quotas[window]:
                limit = f"Ingestion{operation}RequestsPer{window}PerProject"
                return _error(429, "RESOURCE_EXHAUSTED", metadata={"quota_limit": limit})
            self._used[key] += 1
        return None

    def _permitted(self, destinations: Iterable[Mapping[str, Any]]) -> bool:
        return self._accounts is None or all(
            each["operatingAccount"]["accountId"] in self._accounts for each in destinations
        )

    def _events(self, content: Mapping[str, Any], now: int) -> tuple[Case, list[str]]:
        """Judge each event for each destination: the same again is no second conversion."""
        taken: list[str] = []
        verdicts: list[Counter[str]] = []
        for destination in content["destinations"]:
            errors: Counter[str] = Counter()
            for event in content["events"]:
                reason, new = self._conversion(destination, event, content, now)
                errors.update([reason] if reason else [])
                taken += [str(event.get("transactionId"))] if new else []
            verdicts.append(errors)
        count = len(content["events"])
        return self._case(content, "eventsIngestionStatus", count, verdicts, now), taken

    def _conversion(
        self,
        destination: Mapping[str, Any],
        event: Mapping[str, Any],
        content: Mapping[str, Any],
        now: int,
    ) -> tuple[str, bool]:
        """Return why the event is not taken, or nothing, and whether it is a new conversion."""
        consent = event.get("consent", content.get("consent", {})).get("adUserData")
        clicks = [str(each) for each in event.get("adIdentifiers", {}).values()]
        failing = [self._failing[each] for each in clicks if each in self._failing]
        if consent != "CONSENT_GRANTED":
            return "DENIED_CONSENT" if consent == "CONSENT_DENIED" else "UNKNOWN_CONSENT", False
        if (_milliseconds(event["eventTimestamp"]) or 0) < now - self._oldest:
            return "EVENT_TOO_OLD", False
        if failing:
            return failing[0], False
        if "transactionId" not in event:
            return "", True
        account = destination["operatingAccount"]["accountId"]
        key = account, destination["productDestinationId"], event["transactionId"]
        known = self._conversions.get(key)
        if known == event:
            return "DUPLICATE_TRANSACTION_ID", False
        self._conversions[key] = event  # with other data it adjusts the conversion
        return "", known is None

    def _members(
        self, content: Mapping[str, Any], now: int, *, leaving: bool
    ) -> tuple[Case, list[Removal]]:
        """Judge members; return who entered or left what, by list and first identifier."""
        moved: list[Removal] = []
        errors: Counter[str] = Counter()
        for member in content["audienceMembers"]:
            consent = member.get("consent", content.get("consent", {})).get("adUserData")
            if consent == "CONSENT_DENIED" or (not leaving and consent != "CONSENT_GRANTED"):
                denied = consent == "CONSENT_DENIED"
                errors["DENIED_CONSENT" if denied else "UNKNOWN_CONSENT"] += 1
                continue
            first = next(iter(member["userData"]["userIdentifiers"][0].values()))
            who = first if isinstance(first, str) else first["familyName"]
            moved += [
                Removal(each["productDestinationId"], who) for each in content["destinations"]
            ]
        kind = f"audienceMembers{'Removal' if leaving else 'Ingestion'}Status"
        verdicts = [errors] * len(content["destinations"])
        return self._case(content, kind, len(content["audienceMembers"]), verdicts, now), moved

    def _case(
        self,
        content: Mapping[str, Any],
        kind: str,
        count: int,
        verdicts: Sequence[Counter[str]],
        now: int,
    ) -> Case:
        destinations = content["destinations"]
        statuses = [
            {
                "destination": destination,
                kind: {"recordCount": str(count)},
                **_status(count, errors),
            }
            for destination, errors in zip(destinations, verdicts, strict=True)
        ]
        pending = [{"destination": each, "requestStatus": "PROCESSING"} for each in destinations]
        return Case(now + self._processing, statuses, pending)


def _status(count: int, errors: Counter[str]) -> dict[str, Any]:
    if not errors:
        return {"requestStatus": "SUCCESS"}
    counts = [
        {"recordCount": str(number), "reason": f"PROCESSING_ERROR_REASON_{reason}"}
        for reason, number in errors.items()
    ]
    name = "FAILED" if errors.total() == count else "PARTIAL_SUCCESS"
    return {"requestStatus": name, "errorInfo": {"errorCounts": counts}}


def _faults(method: str, content: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _destination_faults(content.get("destinations"))
    yield from _consent_faults("consent", content.get("consent", {}))
    name, most, excess = (
        ("events", EVENTS, "TOO_MANY_EVENTS")
        if method == "events:ingest"
        else ("audienceMembers", MEMBERS, "TOO_MANY_AUDIENCE_MEMBERS")
    )
    accepted = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
    if method == "audienceMembers:ingest" and content.get("termsOfService") != accepted:
        yield "terms_of_service", "TERMS_AND_CONDITIONS_NOT_SIGNED"
    records = content.get(name)
    if not isinstance(records, list) or not records:
        yield name, "REQUIRED_FIELD_MISSING"
        return
    if len(records) > most:
        yield name, excess
        return
    judge = _event_faults if name == "events" else _member_faults
    for index, record in enumerate(records):
        at = f"{name}.{name}[{index}]"
        if isinstance(record, dict):
            yield from judge(at, record, content.get("encoding"))
        else:
            yield at, "INVALID_FORMAT"


def _destination_faults(destinations: object) -> Iterator[Fault]:
    if not isinstance(destinations, list) or not destinations:
        yield "destinations", "REQUIRED_FIELD_MISSING"
        return
    if len(destinations) > DESTINATIONS:
        yield "destinations", "TOO_MANY_DESTINATIONS"
    for index, each in enumerate(destinations):
        if not _is_destination(each):
            yield f"destinations.destinations[{index}]", "INVALID_DESTINATION"


def _is_destination(each: object) -> bool:
    if not isinstance(each, dict) or not isinstance(each.get("productDestinationId"), str):
        return False
    accounts = [each.get("operatingAccount")]
    accounts += [each["loginAccount"]] if "loginAccount" in each else []
    return all(map(_is_account, accounts)) and bool(NUMBER.fullmatch(each["productDestinationId"]))


def _is_account(account: object) -> bool:
    return (
        isinstance(account, dict)
        and account.get("accountType") == "GOOGLE_ADS"
        and isinstance(account.get("accountId"), str)
        and bool(NUMBER.fullmatch(account["accountId"]))
    )


def _consent_faults(at: str, consent: object) -> Iterator[Fault]:
    if not isinstance(consent, dict) or not {"adUserData", "adPersonalization"} >= consent.keys():
        yield at, "INVALID_FORMAT"
    elif not CONSENT.issuperset(map(str, consent.values())):
        yield at, "INVALID_ENUM_VALUE"


def _event_faults(at: str, event: Mapping[str, Any], encoding: object) -> Iterator[Fault]:
    if not event.keys() <= EVENT or not isinstance(event.get("transactionId", ""), str):
        yield at, "INVALID_FORMAT"
    if "eventTimestamp" not in event:
        yield f"{at}.event_timestamp", "REQUIRED_FIELD_MISSING"
    elif _milliseconds(event["eventTimestamp"]) is None:
        yield f"{at}.event_timestamp", "INVALID_FORMAT"
    if event.get("eventSource", "WEB") not in SOURCES:
        yield f"{at}.event_source", "INVALID_ENUM_VALUE"
    yield from _consent_faults(f"{at}.consent", event.get("consent", {}))
    clicks = event.get("adIdentifiers", {})
    if not isinstance(clicks, dict) or not clicks.keys() <= AD_IDENTIFIERS:
        yield f"{at}.ad_identifiers", "INVALID_FORMAT"
    elif not any(clicks.values()) and not event.get("userData"):
        yield at, "NO_IDENTIFIERS_PROVIDED"
    if "userData" in event:
        yield from _user_faults(at, event["userData"], encoding)


def _member_faults(at: str, member: Mapping[str, Any], encoding: object) -> Iterator[Fault]:
    yield from _consent_faults(f"{at}.consent", member.get("consent", {}))
    if not {"destinationReferences", "consent", "userData"} >= member.keys():
        yield at, "INVALID_FORMAT"
    if "userData" not in member:
        yield at, "INVALID_AUDIENCE_MEMBER"
    else:
        yield from _user_faults(at, member["userData"], encoding)


def _user_faults(at: str, user: object, encoding: object) -> Iterator[Fault]:
    identifiers = user.get("userIdentifiers") if isinstance(user, dict) else None
    at = f"{at}.user_data.user_identifiers"
    if encoding not in {"HEX", "BASE64"}:
        yield "encoding", "REQUIRED_FIELD_MISSING"
    if not isinstance(identifiers, list) or not identifiers:
        yield at, "REQUIRED_FIELD_MISSING"
        return
    if len(identifiers) > IDENTIFIERS:
        yield at, "TOO_MANY_USER_IDENTIFIERS"
    for each in identifiers:
        if not isinstance(each, dict) or len(each) != 1:
            yield at, "INVALID_FORMAT"
        elif "address" in each:
            yield from _address_faults(at, each["address"], encoding)
        elif not {"emailAddress", "phoneNumber"} >= each.keys():
            yield at, "INVALID_FORMAT"
        else:
            yield from (fault for value in each.values() for fault in _hash(at, value, encoding))


def _address_faults(at: str, address: object, encoding: object) -> Iterator[Fault]:
    if not isinstance(address, dict) or not all(address.get(name) for name in ADDRESS):
        yield f"{at}.address", "REQUIRED_FIELD_MISSING"
        return
    if not re.fullmatch(r"[A-Z]{2}", str(address["regionCode"])):
        yield f"{at}.address.region_code", "INVALID_COUNTRY_CODE"
    for name in ("givenName", "familyName"):
        yield from _hash(at, address[name], encoding)


def _hash(at: str, value: object, encoding: object) -> Iterator[Fault]:
    if encoding == "HEX" and not (isinstance(value, str) and SHA256.fullmatch(value)):
        yield at, "INVALID_SHA256_FORMAT"


def _milliseconds(moment: object) -> int | None:
    """Return the milliseconds of a time as RFC 3339 writes it, None when it is none."""
    if not isinstance(moment, str) or not MOMENT.fullmatch(moment):
        return None
    try:
        return int(datetime.fromisoformat(moment).timestamp() * 1000)
    except ValueError:
        return None


def _error(
    code: int,
    status: str,
    faults: Sequence[Fault] = (),
    *,
    reason: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Answer:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason or status,
        "domain": "datamanager.googleapis.com",
        **({"metadata": metadata} if metadata else {}),
    }
    violations = [
        {"field": path, "reason": why, "description": "There was a problem."}
        for path, why in faults
    ]
    request = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
    error = {
        "code": code,
        "status": status,
        "message": "There was a problem with the request.",
        "details": [info, *([request] if violations else [])],
    }
    return Answer(code, {"error": error})
