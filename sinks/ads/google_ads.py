"""Google Ads by the Data Manager API: conversions, and members of customer lists (S14).

A request is refused whole, by the places at fault, or accepted and judged later: its status then
counts records by reason and names none. An event counts once by its ``transactionId``, and
membership is a state, so the same request may be sent again.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from privacy.ads import IDS, AdEvent, Contact
from privacy.outcome import Reason
from sinks.ads import bodies, hashing
from sinks.ads.contract import Limits, Outcome, Request, Response, Verdict, leave

HOSTS = frozenset({"datamanager.googleapis.com"})
SECOND = 1_000
DAY = 86_400 * SECOND
NEWEST = 60 * SECOND  # how far another of our clocks may be ahead

_NUMBER = re.compile(r"[0-9]{1,20}")
_TICKET = re.compile(r"[!-~]{1,500}")
_DUPLICATE = "DUPLICATE_TRANSACTION_ID"
_CLICK = re.compile(r"[A-Za-z0-9_-]{1,512}")
_SHAPES = {
    "emailAddress": hashing.EMAIL,
    "phoneNumber": hashing.PHONE,
    "regionCode": re.compile(r"[A-Z]{2}"),
}
_ADDRESS = ("givenName", "familyName", "regionCode", "postalCode")
_PLAIN = {"regionCode", "postalCode"}  # never hashed

_PLACE = re.compile(r"(?:events|audience_?members)\[([0-9]{1,5})\]", re.IGNORECASE)
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
}
_VERDICTS = {
    "INVALID_ARGUMENT": Verdict.REFUSED,
    "UNAUTHENTICATED": Verdict.UNAUTHORISED,
    "RESOURCE_EXHAUSTED": Verdict.THROTTLED,
    **dict.fromkeys(("INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED"), Verdict.RETRY),
}
_CONFIGURATION = {
    "DATA_PARTNER_USER_LIST_MUTATE_NOT_ALLOWED",
    "DESTINATION_ACCOUNT_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS",
    "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED",
    "DESTINATION_ACCOUNT_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS",
    "INVALID_CONVERSION_ACTION_ID",
    "INVALID_CONVERSION_ACTION_TYPE",
    "INVALID_DESTINATION",
    "INVALID_USER_LIST_ID",
    "INVALID_USER_LIST_TYPE",
    "TERMS_AND_CONDITIONS_NOT_SIGNED",
    "NO_CONSENT",  # the account's own, to Google; a person's are DENIED_ and UNKNOWN_CONSENT
}


@dataclass(frozen=True, slots=True)
class Account:
    """What the sites have at Google Ads.

    ``customers`` are by site the ids (digits alone) of the accounts that own the conversions and
    the lists, ``manager`` the one whose credentials are used, where it is another.
    ``terms_accepted``: the controller accepted the customer match terms; without it nobody becomes
    a member. ``oldest_days`` is how old a conversion may be: Google has a bound and documents none.
    """

    customers: Mapping[str, str]
    manager: str | None = None
    terms_accepted: bool = False
    oldest_days: int = 90
    base_url: str = "https://datamanager.googleapis.com"
    version: str = "v1"


class GoogleAds:
    """The connector; see ``contract.Connector``. ``token`` has the scope ``datamanager``."""

    name = "google-ads"
    limits = Limits(events=2_000, requests_a_minute=300, requests_a_day=100_000)
    deduplicates = True
    keeps = "Google Ads keeps the conversions that it was told of: it offers no way to delete one."

    def __init__(self, account: Account, token: Callable[[], str]) -> None:
        self._account = account
        self._token = token

    def refusal(self, event: AdEvent, now: int) -> Reason | None:
        """Return why Google would refuse the event: its time, its target, its identifiers.

        It takes no pages. A conversion needs the id of the click that led to it, a member what
        ``contact`` has: an e-mail address, a phone number, or a name with country and postal code.
        """
        return next(self._faults(event, now), None)

    def group(self, event: AdEvent) -> Hashable:
        """Group by what a request has one of: the account, and the conversion or the list."""
        return self._account.customers[event.site], event.conversion, event.audience, event.member

    def build_request(self, events: Sequence[AdEvent], now: int, nonce: str) -> Request:
        """Return the request for events of one group; needs neither ``now`` nor ``nonce``."""
        del now, nonce
        first = events[0]
        if first.conversion is not None:
            conversions = {"events": [_conversion(event) for event in events]}
            return self._tell("events:ingest", first.site, first.conversion, conversions)
        content: dict[str, Any] = {
            "audienceMembers": [_member(event) for event in events],
            "encoding": "HEX",
        }
        if not first.member:
            return self._tell("audienceMembers:remove", first.site, first.audience, content)
        content["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
        return self._tell("audienceMembers:ingest", first.site, first.audience, content)

    def read_response(self, response: Response, count: int) -> Outcome:
        """Judge by Google's status and reasons. Success is a ticket: nothing is judged yet."""
        content = bodies.read(response.body)
        if response.status != 200:
            return _failure(response, content, count)
        ticket = content.get("requestId")
        if not isinstance(ticket, str) or not _TICKET.fullmatch(ticket):
            return Outcome(Verdict.RETRY, "NO_REQUEST_ID")
        return Outcome(Verdict.ACCEPTED, ticket=ticket)

    def build_poll(self, ticket: str) -> Request:
        """Return the request that asks what became of an ACCEPTED one."""
        query = urlencode({"requestId": ticket})
        return self._request("GET", f"requestStatus:retrieve?{query}", b"")

    def read_poll(self, response: Response, count: int) -> Outcome | None:
        """Judge by the counts of records and reasons; None while they are not told.

        Of some refused it says how many, not which: each is UNCERTAIN, as REFUSED would be false of
        those that were taken. A duplicate was taken before.
        """
        content = bodies.read(response.body)
        if response.status in {400, 404}:  # it knows no such request, or no longer
            return Outcome(Verdict.UNCERTAIN, _failure(response, content, count).code)
        destinations = bodies.objects(content.get("requestStatusPerDestination"))
        statuses = {str(each.get("requestStatus")) for each in destinations}
        if not statuses or not statuses <= {"SUCCESS", "PARTIAL_SUCCESS", "FAILED"}:
            return None
        if statuses == {"SUCCESS"}:
            return Outcome(Verdict.DELIVERED)
        return _judged(destinations, count, all_failed=statuses == {"FAILED"})

    def removal(self, event: AdEvent) -> AdEvent | None:
        """Return the removal from the event's list, by hashes; None for a conversion."""
        return None if event.audience is None else leave(event, event.audience, _known(event))

    def _faults(self, event: AdEvent, now: int) -> Iterator[Reason]:
        target = event.conversion if event.audience is None else event.audience
        if event.site not in self._account.customers or not _NUMBER.fullmatch(target or ""):
            yield Reason.NO_TARGET
        if event.audience is not None:
            yield from self._member_faults(event)
            return
        if event.occurred_at < now - self._account.oldest_days * DAY:
            yield Reason.TOO_OLD
        if event.occurred_at > now + NEWEST:
            yield Reason.TOO_NEW
        click = _click(event)
        if not click:
            yield Reason.NO_IDENTIFIER
        if not all(_CLICK.fullmatch(value) for value in click.values()):
            yield Reason.BAD_IDENTIFIER

    def _member_faults(self, event: AdEvent) -> Iterator[Reason]:
        if event.member and not self._account.terms_accepted:
            yield Reason.NO_TARGET
        if not _well_formed(event.contact):
            yield Reason.BAD_IDENTIFIER
        if not _known(event):
            yield Reason.NO_IDENTIFIER

    def _tell(
        self, method: str, site: str, target: str | None, content: Mapping[str, Any]
    ) -> Request:
        destination: dict[str, Any] = {
            "operatingAccount": _ads_account(self._account.customers[site])
        }
        if self._account.manager is not None:
            destination["loginAccount"] = _ads_account(self._account.manager)
        destination["productDestinationId"] = target
        told = {"destinations": [destination], **content}
        return self._request("POST", method, bodies.written(told))

    def _request(self, method: str, path: str, body: bytes) -> Request:
        return Request(
            method,
            f"{self._account.base_url}/{self._account.version}/{path}",
            body,
            {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"},
        )


def _ads_account(number: str) -> dict[str, str]:
    return {"accountType": "GOOGLE_ADS", "accountId": number}


def _consent(*, personal: bool) -> dict[str, str]:
    """Return the consent, which is sent always: left out, it is the account's default."""
    return {
        "adUserData": "CONSENT_GRANTED",
        "adPersonalization": "CONSENT_GRANTED" if personal else "CONSENT_DENIED",
    }


def _conversion(event: AdEvent) -> dict[str, Any]:
    seconds, milliseconds = divmod(event.occurred_at, SECOND)
    moment = datetime.fromtimestamp(seconds, UTC)
    return {
        "eventTimestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z",
        "transactionId": event.event_id,
        "eventSource": "WEB",
        "adIdentifiers": _click(event),
        "consent": _consent(personal=False),
    }


def _click(event: AdEvent) -> dict[str, str]:
    """Return the first click id there is: several need not be of the same click."""
    given = ((name, event.ids.get(name)) for name in IDS["google-ads"])
    return next(({name: value} for name, value in given if value), {})


def _member(event: AdEvent) -> dict[str, Any]:
    member: dict[str, Any] = {"userData": {"userIdentifiers": _identifiers(_known(event))}}
    if event.member:
        # Of one who leaves nothing is said: GRANTED may be false, DENIED may have it dropped.
        member["consent"] = _consent(personal=True)
    return member


def _identifiers(known: Mapping[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {name: known[name]} for name in ("emailAddress", "phoneNumber") if name in known
    ]
    if "familyName" in known:
        found.append({"address": {name: known[name] for name in _ADDRESS}})
    return found


def _known(event: AdEvent) -> dict[str, str]:
    """Return by what Google knows a person, hashed; of one who leaves, what ``removal`` kept.

    A postal address counts whole, or not at all.
    """
    known = dict(event.ids)
    if event.member:
        known = {
            name: value if name in _PLAIN else hashing.hashed(value)
            for name, value in _normal(event.contact).items()
        }
    names = {"emailAddress", "phoneNumber"}
    if known.keys() >= set(_ADDRESS):
        names.update(_ADDRESS)
    return {name: value for name, value in known.items() if name in names}


def _normal(contact: Contact | None) -> dict[str, str]:
    """Return what is known of a person as Google wants it before it is hashed."""
    if contact is None:
        return {}
    normal = {
        "emailAddress": hashing.email(contact.email or "", spaces=False, gmail=True),
        "phoneNumber": hashing.phone(contact.phone, plus=True) if contact.phone else "",
        "givenName": hashing.name(contact.first_name or ""),
        "familyName": hashing.name(contact.last_name or ""),
        "regionCode": (contact.country or "").strip().upper(),
        "postalCode": (contact.postal_code or "").strip(),
    }
    return {name: value for name, value in normal.items() if value}


def _well_formed(contact: Contact | None) -> bool:
    normal = _normal(contact)
    return all(shape.fullmatch(normal[name]) for name, shape in _SHAPES.items() if name in normal)


def _failure(response: Response, content: Mapping[str, Any], count: int) -> Outcome:
    """Judge a request that was not accepted; ``code`` is the nearest reason given."""
    fields = content.get("error")
    error = fields if isinstance(fields, dict) else {}
    status = bodies.code(error.get("status")) or _STATUSES.get(response.status, "")
    details = bodies.objects(error.get("details"))
    violations = [each for one in details for each in bodies.objects(one.get("fieldViolations"))]
    given = (bodies.code(each.get("reason")) for each in (*violations, *details))
    reasons = [reason for reason in given if reason]
    code = next(iter(reasons), status or f"http_{response.status}")
    verdict = _VERDICTS.get(status)
    if verdict is None:
        verdict = Verdict.RETRY if response.status >= 500 else Verdict.STOPPED
    if verdict == Verdict.THROTTLED:
        return Outcome(verdict, code, wait=_wait(response, details))
    if verdict != Verdict.REFUSED:
        return Outcome(verdict, code)
    places = [str(each.get("field")) for each in violations]
    if _CONFIGURATION.intersection(reasons) or any(p.startswith("destinations") for p in places):
        return Outcome(Verdict.STOPPED, code)
    indices = {int(match[1]) for place in places if (match := _PLACE.search(place))}
    return Outcome(verdict, code, tuple(sorted(each for each in indices if each < count)))


def _wait(response: Response, details: Sequence[Mapping[str, Any]]) -> float:
    """Return the seconds to wait: as the answer says, else by the quota that is used up."""
    for told in (*(one.get("retryDelay") for one in details), response.headers.get("retry-after")):
        if (seconds := bodies.wait(told)) is not None:
            return seconds
    daily = any("PerDay" in str(one.get("metadata")) for one in details)
    return 3600.0 if daily else 60.0


def _judged(destinations: Sequence[Mapping[str, Any]], count: int, *, all_failed: bool) -> Outcome:
    faults: Counter[str] = Counter()
    for destination in destinations:
        info = destination.get("errorInfo")
        for each in bodies.objects(info.get("errorCounts") if isinstance(info, dict) else None):
            reason = bodies.code(each.get("reason")).removeprefix("PROCESSING_ERROR_REASON_")
            faults[reason or "UNSPECIFIED"] += _whole(each.get("recordCount"))
    duplicates = faults.pop(_DUPLICATE, 0)
    if duplicates and not faults:
        return Outcome(Verdict.DELIVERED, _DUPLICATE)
    code = faults.most_common(1)[0][0] if faults else "UNSPECIFIED"
    if all_failed and not duplicates:
        return Outcome(Verdict.REFUSED, code, tuple(range(count)))
    return Outcome(Verdict.UNCERTAIN, code)


def _whole(value: object) -> int:
    """Return a number that JSON has as a string, as it has all of 64 bits."""
    return int(value) if isinstance(value, int | str) and _NUMBER.fullmatch(str(value)) else 0
