"""X's Ads API as documented: conversions and audience users, on its own paths.

It checks signatures by itself (RFC 5849), with nonces and times.
"""

import base64
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web

from lethe.standins.desk import Answer, Call, Desk, Removal

CONVERSIONS = 500
OPERATIONS = 2_500
AUDIENCE_BODY = 5_000_000  # bytes
QUARTER_HOUR = 15 * 60 * 1000  # milliseconds
CLOCK_SKEW = 300  # seconds
NONCES = 100_000  # remembered

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_SHA256 = re.compile("[0-9a-fA-F]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")
_TAG = re.compile("(?:tw-[0-9a-z]+-)?([0-9a-z]+)")
_DECIMAL = re.compile(r"\d+\.\d+")
_HASHED = frozenset({"email", "device_id", "handle", "twitter_id", "phone_number"})


@dataclass(slots=True)
class X:
    """One X application, its user and their account; what is None is anything.

    ``tags`` are the events configured, by their short ids. ``scheme`` is what clients put before
    the host, for the signature.
    """

    consumer: tuple[str, str] = ("x-consumer-key", "x-consumer-secret")
    token: tuple[str, str] = ("x-token", "x-token-secret")
    pixel_token: str = "x-pixel-token"  # noqa: S105
    revoked: Collection[str] = ()
    version: str = "12"
    scheme: str = "http"
    pixels: Collection[str] | None = None
    tags: Collection[str] | None = None
    account: str | None = None
    audiences: Collection[str] | None = None
    events_a_quarter_hour: int = 60_000
    requests_a_minute: int = 1_500
    _events: Counter[int] = field(default_factory=Counter)
    _requests: Counter[int] = field(default_factory=Counter)
    _nonces: dict[tuple[str, str], None] = field(default_factory=dict)

    def conversions(self, call: Call) -> Answer:
        """Answer ``POST /{version}/measurement/conversions/{pixel}``."""
        version, _, _, pixel = call.path.split("/")[-4:]
        known = self._pixel_token(call) or self._signed(call)
        if refused := self._door(version, known=known):
            return refused
        if self.pixels is not None and pixel not in self.pixels:
            return _error(404, "NOT_FOUND", "The pixel does not exist")
        given = call.content.get("conversions") if isinstance(call.content, dict) else None
        events = given if isinstance(given, list) else []
        window = call.began // QUARTER_HOUR
        if self._events[window] + len(events) > self.events_a_quarter_hour:
            return _throttled(call, self.events_a_quarter_hour, (window + 1) * QUARTER_HOUR)
        faults = [fault for each in events for fault in _conversion_faults(each, self.tags)]
        if not events:
            faults.append(("conversions", "At least one conversion must be provided"))
        if len(events) > CONVERSIONS:
            faults.append(("conversions", f"Conversion count limit is {CONVERSIONS}"))
        if faults:
            return _invalid(faults)
        self._events[window] += len(events)
        left = self.events_a_quarter_hour - self._events[window]
        return Answer(
            200,
            {
                "request": {"params": {"account_id": self.account}},
                "data": {"conversions_processed": len(events), "debug_id": str(call.began)},
            },
            _limit(self.events_a_quarter_hour, left, (window + 1) * QUARTER_HOUR),
            [str(each["conversion_id"]) for each in events if each.get("conversion_id")],
        )

    def users(self, call: Call) -> Answer:
        """Answer ``POST /{version}/accounts/{account}/custom_audiences/{audience}/users``."""
        version, _, account, _, audience, _ = call.path.split("/")[-6:]
        refused = self._door(version, known=self._signed(call))
        if refused := refused or self._audience_refusal(account, audience):
            return refused
        window = call.began // 60_000
        self._requests[window] += 1
        if self._requests[window] > self.requests_a_minute:
            return _throttled(call, self.requests_a_minute, (window + 1) * 60_000)
        operations = call.content if isinstance(call.content, list) else []
        if not operations or len(operations) > OPERATIONS or call.size > AUDIENCE_BODY:
            return _invalid([("operations", f"1 to {OPERATIONS} operations in 5 MB")])
        faults = [list(_operation_faults(each)) for each in operations]
        if any(faults):
            content = {"operation_errors": [[_as_json(fault) for fault in each] for each in faults]}
            return Answer(400, content)
        users = [
            (each["operation_type"], user)
            for each in operations
            for user in each["params"]["users"]
        ]
        named = [
            (kind, str(user["partner_user_id"][0]))
            for kind, user in users
            if "partner_user_id" in user
        ]
        counted = {"success_count": len(users), "total_count": len(users)}
        return Answer(
            200,
            {
                "request": {"params": {"account_id": account, "custom_audience_id": audience}},
                "data": counted,
            },
            taken=[who for kind, who in named if kind == "Update"],
            removed=[Removal(audience, who) for kind, who in named if kind == "Delete"],
        )

    def _door(self, version: str, *, known: bool) -> Answer | None:
        if version != self.version:
            return _error(404, "ROUTE_NOT_FOUND", "The resource does not exist")
        if not known:
            return _error(401, "UNAUTHORIZED_ACCESS", "This request is not authenticated")
        return None

    def _audience_refusal(self, account: str, audience: str) -> Answer | None:
        if self.account is not None and account != self.account:
            return _error(403, "ACCOUNT_NOT_FOUND", "The account does not exist")
        if self.audiences is not None and audience not in self.audiences:
            return _error(404, "TAILORED_AUDIENCE_NOT_FOUND", "The audience does not exist")
        return None

    def _pixel_token(self, call: Call) -> bool:
        token = call.headers.get("x-pixel-token")
        return token == self.pixel_token and token not in self.revoked

    def _signed(self, call: Call) -> bool:
        """Check the signature, and that it is fresh and was never seen."""
        scheme, _, given = call.headers.get("authorization", "").partition(" ")
        named = {unquote(name): unquote(value) for name, value in _PARAMETER.findall(given)}
        signature = named.pop("oauth_signature", "")
        stamp = named.get("oauth_timestamp", "")
        used = (stamp, named.get("oauth_nonce", ""))
        if (
            scheme.lower() != "oauth"
            or named.get("oauth_signature_method") != "HMAC-SHA1"
            or named.get("oauth_consumer_key") != self.consumer[0]
            or named.get("oauth_token") != self.token[0]
            or self.token[0] in self.revoked
            or not stamp.isdigit()
            or abs(int(stamp) - call.began // 1000) > CLOCK_SKEW
            or not used[1]
            or used in self._nonces
            or not hmac.compare_digest(signature, self._signature(call, named))
        ):
            return False
        self._nonces[used] = None
        if len(self._nonces) > NONCES:
            del self._nonces[next(iter(self._nonces))]
        return True

    def _signature(self, call: Call, parameters: Mapping[str, str]) -> str:
        pairs = sorted(
            (_escape(k), _escape(v)) for k, v in [*parameters.items(), *call.query.items()]
        )
        url = f"{self.scheme}://{call.headers.get('host', '').lower()}{call.path}"
        joined = "&".join(f"{name}={value}" for name, value in pairs)
        base = "&".join(map(_escape, (call.method, url, joined)))
        key = f"{_escape(self.consumer[1])}&{_escape(self.token[1])}"
        digest = hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()
        return base64.b64encode(digest).decode()


def routes(desk: Desk, x: X | None = None) -> list[web.RouteDef]:
    """Return X's routes."""
    x = x or X()
    audience = "/{version}/accounts/{account}/custom_audiences/{audience}/users"
    return [
        web.post("/{version}/measurement/conversions/{pixel}", desk.serve("x", x.conversions)),
        web.post(audience, desk.serve("x", x.users)),
    ]


Fault = tuple[str, str]  # parameter and message


def _escape(text: str) -> str:
    return quote(text, safe="-._~")


def _as_json(fault: Fault) -> dict[str, str]:
    parameter, message = fault
    return {"code": "INVALID_PARAMETER", "message": message, "parameter": parameter}


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"errors": [{"code": code, "message": message}]})


def _invalid(faults: list[Fault]) -> Answer:
    return Answer(400, {"errors": [_as_json(each) for each in faults]})


def _limit(limit: int, left: int, reset: int) -> dict[str, str]:
    return {
        "x-rate-limit-limit": str(limit),
        "x-rate-limit-remaining": str(left),
        "x-rate-limit-reset": str(reset // 1000),
    }


def _throttled(call: Call, limit: int, reset: int) -> Answer:
    date = {"Date": formatdate(call.began / 1000, usegmt=True)}
    refused = _error(429, "TOO_MANY_REQUESTS", "Too many requests")
    return Answer(429, refused.content, {**_limit(limit, 0, reset), **date})


def _conversion_faults(conversion: Any, tags: Collection[str] | None) -> Iterator[Fault]:
    event = conversion if isinstance(conversion, dict) else {}
    tag = str(event.get("event_id", ""))
    spelled = _TAG.fullmatch(tag)
    if not tag:
        yield "event_id", "Event_id is required"
    elif spelled is None or (tags is not None and spelled[1] not in tags):
        yield "event_id", f"Event_id ({tag}) is not a single event tag (SET)"
    time, stamp = event.get("conversion_time"), event.get("conversion_timestamp")
    if not (isinstance(time, str) and _TIME.fullmatch(time)) and not isinstance(stamp, int):
        yield "conversion_time", "Expected time"
    number = event.get("number_items", 1)
    if not isinstance(number, int) or number < 1:
        yield "number_items", "Expected a positive number"
    value = event.get("value", 0.5)
    if not isinstance(value, float) and not _DECIMAL.fullmatch(str(value)):
        yield "value", "Expected a number with decimals"
    yield from _identifier_faults(event.get("identifiers"))


def _identifier_faults(identifiers: Any) -> Iterator[Fault]:
    """Yield what is wrong with ``identifiers``: each of them must be enough by itself."""
    if not isinstance(identifiers, list) or not identifiers:
        identifiers = [{}]
    for each in identifiers:
        named = {name for name, value in each.items() if value}
        if not named & {"twclid", "hashed_email", "hashed_phone_number"} and not named >= {
            "ip_address",
            "user_agent",
        }:
            yield "identifiers", "At least one user identifier must be provided"
        for name in sorted(named & {"hashed_email", "hashed_phone_number"}):
            if not _SHA256.fullmatch(str(each[name])):
                yield name, f"{name.capitalize()} is not a valid SHA-256 hash"


def _operation_faults(operation: Any) -> Iterator[Fault]:
    item = operation if isinstance(operation, dict) else {}
    if item.get("operation_type") not in {"Update", "Delete"}:
        yield "operation_type", "Expected Update or Delete"
    params = item.get("params")
    users = params.get("users") if isinstance(params, dict) else None
    if not isinstance(users, list) or not users:
        yield "users", "Expected a list"
        return
    for user in users:
        if not set(user) & {*_HASHED, "partner_user_id"}:
            yield "users", "At least one user identifier must be provided"
        for name in sorted(_HASHED & set(user)):
            if not all(_SHA256.fullmatch(str(value)) for value in user[name]):
                yield name, "Expected SHA-256 hashes"
