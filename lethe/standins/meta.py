"""Stand-in for Meta: conversion events and custom audiences of the Graph API, in JSON.

It takes a call whole or not at all, and errs as Meta does, with a status that says little: 400
for what is to be tried again as well. The message names the parameter; callers go by the code.
"""

import re
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

from aiohttp import web

from lethe.standins.desk import Answer, Call, Desk, Removal

EVENTS, ROWS = 1_000, 10_000  # at most in one call
SECOND, HOUR = 1_000, 3_600_000
OLDEST, NEWEST = 7 * 24 * HOUR, 60 * SECOND
DEDUPLICATED = 48 * HOUR

SOURCES = (
    "website", "app", "email", "phone_call", "chat", "physical_store", "system_generated",
    "business_messaging", "other",
)  # fmt: skip
HASHED = {"em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country"}
COLUMNS = (
    "EXTERN_ID", "EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI", "CT", "ST",
    "ZIP", "MADID", "COUNTRY", "APPUID",
)  # fmt: skip
PLAIN = {"EXTERN_ID", "MADID", "APPUID"}
# Who nobody could be told from: refused when it is all that is known (combinations of v13.0).
THIN = (
    {"ct", "country", "st", "zp", "ge", "client_user_agent"},
    {"db", "client_user_agent"},
    {"fn", "ge"},
    {"ln", "ge"},
)
SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]+")


def routes(
    desk: Desk,
    *,
    token: str = "meta-token",  # noqa: S107 - a made-up one
    expired: str = "meta-expired",
    revoked: str = "meta-revoked",
    versions: Collection[str] = ("v23.0", "v24.0", "v25.0", "v26.0"),
    unknown: Collection[str] = (),
    audience_calls_an_hour: int = 190_000,
) -> list[web.RouteDef]:
    """Return the routes. ``unknown`` are pixels and audiences that the token may not see."""
    graph = _Graph(token, expired, revoked, versions, unknown, audience_calls_an_hour)
    events, users = desk.serve("meta", graph.events), desk.serve("meta", graph.users)
    return [
        web.post("/{version}/{pixel}/events", events),
        web.post("/{version}/{audience}/users", users),
        web.delete("/{version}/{audience}/users", users),
    ]


class _Graph:
    """Judges calls; remembers which events it has, and when audiences were changed."""

    def __init__(  # noqa: PLR0917 - see routes
        self,
        token: str,
        expired: str,
        revoked: str,
        versions: Collection[str],
        unknown: Collection[str],
        audience_calls_an_hour: int,
    ) -> None:
        self._tokens = {token: None, expired: 463, revoked: 458}
        self._versions = versions
        self._unknown = unknown
        self._audience_calls_an_hour = audience_calls_an_hour
        self._seen: dict[tuple[str, str, str], int] = {}
        self._changes: deque[int] = deque()

    def events(self, call: Call) -> Answer:
        """Judge POST /{version}/{pixel}/events."""
        return next(self._bars(call), None) or self._judge_events(call)

    def users(self, call: Call) -> Answer:
        """Judge POST and DELETE /{version}/{audience}/users."""
        return (
            next(self._bars(call), None) or self._throttled(call.began) or self._judge_users(call)
        )

    def _bars(self, call: Call) -> Iterator[Answer]:
        """Yield what bars a call before anybody looks at what it brings."""
        version, node, _ = call.path.split("/")[-3:]
        content = call.content if isinstance(call.content, dict) else {}
        scheme, _, bearer = call.headers.get("authorization", "").partition(" ")
        token = (
            (bearer if scheme == "Bearer" else "")
            or call.query.get("access_token")
            or content.get("access_token")
        )
        if version not in self._versions:
            yield _error(2635, "You are calling a deprecated version of the Ads API")
        if not token:
            yield _error(104, "An access token is required to request this resource.")
        if token not in self._tokens:
            yield _error(190, "Invalid OAuth access token - Cannot parse access token")
        elif self._tokens[token]:
            yield _error(190, "Error validating access token", self._tokens[token])
        if node in self._unknown or not NUMBER.fullmatch(node):
            yield _error(100, "Unsupported request. Object does not exist or no permission", 33)
        if not content:
            yield _error(100, "The request has no JSON object")

    def _throttled(self, now: int) -> Answer | None:
        while self._changes and self._changes[0] <= now - HOUR:
            self._changes.popleft()
        if len(self._changes) >= self._audience_calls_an_hour:
            minutes = -(-(self._changes[0] + HOUR - now) // 60_000)
            usage = (
                '{"1":[{"type":"custom_audience","call_count":100,"total_cputime":1,'
                f'"total_time":1,"estimated_time_to_regain_access":{minutes}}}]}}'
            )
            return _error(
                80003,
                "There have been too many calls",
                headers={"X-Business-Use-Case-Usage": usage},
            )
        self._changes.append(now)
        return None

    def _judge_events(self, call: Call) -> Answer:
        data = call.content.get("data")
        if not isinstance(data, list) or not data:
            return _error(100, "data: must be a list of events")
        if len(data) > EVENTS:
            return _error(100, f"data: at most {EVENTS} events")
        fault = next((fault for event in data for fault in _event_faults(event, call.began)), None)
        if fault is not None:
            return fault
        pixel = call.path.split("/")[-2]
        return Answer(
            200,
            {"events_received": len(data), "messages": [], "fbtrace_id": "standin"},
            taken=[
                event["event_id"]
                for event in data
                if "event_id" in event and self._is_new(pixel, event, call.began)
            ],
        )

    def _is_new(self, pixel: str, event: dict[str, Any], now: int) -> bool:
        """Tell whether the event counts: the same name and id within 48 hours is the same event."""
        key = pixel, event["event_name"], event["event_id"]
        if now - self._seen.get(key, -DEDUPLICATED) < DEDUPLICATED:
            return False
        self._seen[key] = now
        return True

    def _judge_users(self, call: Call) -> Answer:
        payload = call.content.get("payload")
        fault = _payload_fault(payload)
        if fault is not None:
            return _error(100, fault)
        schema, rows = payload["schema"], payload["data"]
        good = [row for row in rows if _is_member(schema, row)]
        node, known = call.path.split("/")[-2], _named(schema, good)
        enters = call.method == "POST"
        return Answer(
            200,
            {
                "audience_id": node,
                "session_id": "1",
                "num_received": len(rows),
                "num_invalid_entries": len(rows) - len(good),
                "invalid_entry_samples": {},
            },
            taken=known if enters else (),
            removed=() if enters else [Removal(node, each) for each in known],
        )


def _event_faults(event: object, now: int) -> Iterator[Answer]:
    if not isinstance(event, dict):
        yield _error(100, "data: each must be an object")
        return
    if not isinstance(event.get("event_name"), str) or not event["event_name"]:
        yield _error(100, "event_name: is required")
    if not isinstance(event.get("event_id", ""), str):
        yield _error(100, "event_id: must be a string")
    if event.get("action_source") not in SOURCES:
        yield _error(100, "action_source: is required, and one of the enumeration")
    if not isinstance(event.get("opt_out", False), bool):
        yield _error(100, "opt_out: must be true or false")
    yield from _time_faults(event.get("event_time"), now)
    yield from _option_faults(event)
    user = event.get("user_data")
    if not isinstance(user, dict) or any(user.keys() <= thin for thin in THIN):
        yield _error(100, "user_data: too little customer information", 2804050)
        return
    yield from _user_faults(user)
    if event["action_source"] == "website":
        yield from _website_faults(event, user)


def _time_faults(at: object, now: int) -> Iterator[Answer]:
    if not isinstance(at, int):
        yield _error(100, "event_time: is required, in seconds")
    elif at * SECOND < now - OLDEST:
        yield _error(100, "event_time: is older than 7 days", 2804003)
    elif at * SECOND > now + NEWEST:
        yield _error(100, "event_time: lies in the future")


def _user_faults(user: dict[str, Any]) -> Iterator[Answer]:
    for name in sorted(HASHED & user.keys()):
        values = user[name] if isinstance(user[name], list) else [user[name]]
        if not all(isinstance(value, str) and SHA256.fullmatch(value) for value in values):
            yield _error(100, f"{name}: must be hashed with SHA-256")


def _website_faults(event: dict[str, Any], user: dict[str, Any]) -> Iterator[Answer]:
    if not user.get("client_user_agent"):
        yield _error(100, "client_user_agent: is required of a website event")
    if not str(event.get("event_source_url", "")).startswith(("http://", "https://")):
        yield _error(100, "event_source_url: is required of a website event")


def _option_faults(event: dict[str, Any]) -> Iterator[Answer]:
    options = event.get("data_processing_options", [])
    place = [event.get(f"data_processing_options_{each}") for each in ("country", "state")]
    if options not in ([], ["LDU"]):
        yield _error(100, "data_processing_options: must be [] or [LDU]")
    elif not options and any(place):
        yield _error(100, "data_processing_options: country and state without an option")
    elif options and not all(isinstance(each, int | None) for each in place):
        yield _error(100, "data_processing_options: country and state must be numbers")


def _payload_fault(payload: object) -> str | None:
    if not isinstance(payload, dict):
        return "payload: must be an object"
    schema, rows = payload.get("schema"), payload.get("data")
    if not isinstance(schema, list) or not schema or not all(each in COLUMNS for each in schema):
        return "schema: must be a list of the columns there are"
    if not isinstance(rows, list) or not 0 < len(rows) <= ROWS:
        return f"data: must be a list of 1 to {ROWS} rows"
    if not all(isinstance(row, list) and len(row) == len(schema) for row in rows):
        return "data: each row must have a value for each column"
    return None


def _named(schema: list[str], rows: list[list[Any]]) -> list[str]:
    """Return who enters or leaves the audience, by EXTERN_ID."""
    if "EXTERN_ID" not in schema:
        return []
    place = schema.index("EXTERN_ID")
    return [row[place] for row in rows if row[place]]


def _is_member(schema: list[str], row: list[Any]) -> bool:
    """Tell whether somebody is told by the row; a column is blank where nothing is known."""
    known = [(name, value) for name, value in zip(schema, row, strict=True) if value != ""]
    return bool(known) and all(
        isinstance(value, str) and (name in PLAIN or SHA256.fullmatch(value))
        for name, value in known
    )


def _error(
    code: int, message: str, subcode: int | None = None, headers: dict[str, str] | None = None
) -> Answer:
    error = {
        "message": f"(#{code}) {message}",
        "type": "OAuthException",
        "code": code,
        "is_transient": False,
        "fbtrace_id": "standin",
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    return Answer(400, {"error": error}, headers or {})
