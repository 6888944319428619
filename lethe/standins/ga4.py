"""Stand-in for Google Analytics 4: the Measurement Protocol, and deletion by the Admin API.

Collection answers 204 to everything, as Google does; what was really taken only the desk knows.
The debug endpoint says what is wrong, with 200, looks at no secret and takes nothing.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from lethe.standins.desk import Answer, Call, Desk, Removal

EVENTS, PARAMETERS, PROPERTIES = 25, 25, 25  # at most in a request, an event, a request
LARGEST = 130_000  # bytes of a body
NAME, PROPERTY_NAME, PROPERTY_VALUE = 40, 24, 36  # characters
VALUE, LONGER = 100, {"page_location": 1_000, "page_referrer": 420, "page_title": 300}
MINUTE = 60_000_000  # microseconds
OLDEST, NEWEST = 72 * 60 * MINUTE, 15 * MINUTE

NAMED = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RESERVED_PREFIXES = ("_", "firebase_", "ga_", "google_", "gtag.")
RESERVED = {
    "ad_activeview", "ad_click", "ad_exposure", "ad_query", "ad_reward", "adunit_exposure",
    "app_clear_data", "app_exception", "app_install", "app_remove", "app_store_refund",
    "app_update", "app_upgrade", "error", "firebase_campaign", "first_open", "first_visit",
    "in_app_purchase", "session_start", "user_engagement",
}  # fmt: skip
CONSENT = {"ad_user_data", "ad_personalization"}
WHOM = {"userId", "clientId", "appInstanceId", "userProvidedData"}

Message = tuple[str, str]  # path of the field, code


def routes(
    desk: Desk,
    *,
    secrets: Mapping[str, str] | None = None,
    token: str = "google-token",  # noqa: S107 - a made-up one
    properties: tuple[str, ...] | None = None,
) -> list[web.RouteDef]:
    """Return the routes. ``secrets`` by measurement id; without, each has ``ga4-secret``.

    ``properties`` are those whose data ``token`` may delete; None: all.
    """
    analytics = _Analytics(secrets, token, properties)
    return [
        web.post("/mp/collect", desk.serve("ga4", analytics.collect)),
        web.post("/debug/mp/collect", desk.serve("ga4", analytics.debug)),
        web.post(
            "/v1alpha/properties/{property:[0-9]+}:submitUserDeletion",
            desk.serve("ga4", analytics.delete),
        ),
    ]


class _Analytics:
    """Judges calls."""

    def __init__(
        self,
        secrets: Mapping[str, str] | None,
        token: str,
        properties: tuple[str, ...] | None,
    ) -> None:
        self._secrets = secrets
        self._token = token
        self._properties = properties

    def collect(self, call: Call) -> Answer:
        """Judge POST /mp/collect: 204, whatever came."""
        stream = call.query.get("measurement_id", "")
        secret = "ga4-secret" if self._secrets is None else self._secrets.get(stream)
        if not stream or call.query.get("api_secret") != secret or next(_messages(call), None):
            return Answer(204)
        events = call.content["events"]
        return Answer(204, taken=[str(_parameters(each).get("event_id")) for each in events])

    def debug(self, call: Call) -> Answer:
        """Judge POST /debug/mp/collect: what would be wrong with it."""
        messages = [
            {"fieldPath": path, "description": f"{path}: {code}", "validationCode": code}
            for path, code in _messages(call)
        ]
        return Answer(200, {"validationMessages": messages})

    def delete(self, call: Call) -> Answer:
        """Judge POST /v1alpha/properties/{property}:submitUserDeletion."""
        if call.headers.get("authorization") != f"Bearer {self._token}":
            return _error(401, "UNAUTHENTICATED")
        number = call.path.rpartition("/")[2].partition(":")[0]
        if self._properties is not None and number not in self._properties:
            return _error(403, "PERMISSION_DENIED")
        content = call.content
        if not isinstance(content, dict) or len(content) != 1 or not content.keys() <= WHOM:
            return _error(400, "INVALID_ARGUMENT")
        if not all(isinstance(value, str) and value for value in content.values()):
            return _error(400, "INVALID_ARGUMENT")
        at = datetime.fromtimestamp(call.began / 1000, UTC)
        told = {"deletionRequestTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
        return Answer(200, told, removed=[Removal(number, *content.values())])


def _messages(call: Call) -> Iterator[Message]:
    content = call.content
    if not isinstance(content, dict) or call.size >= LARGEST:
        yield "", "VALUE_INVALID"
        return
    if not isinstance(content.get("client_id"), str) or not content["client_id"]:
        yield "client_id", "VALUE_REQUIRED"
    strict = content.get("validation_behavior") == "ENFORCE_RECOMMENDATIONS"
    yield from _time_messages(content, call.began, strict=strict)
    yield from _consent_messages(content.get("consent", {}))
    yield from _property_messages(content.get("user_properties", {}))
    events = content.get("events")
    if not isinstance(events, list) or not events:
        yield "events", "VALUE_REQUIRED"
        return
    if len(events) > EVENTS:
        yield "events", "EXCEEDED_MAX_ENTITIES"
    for event in events:
        yield from _event_messages(event, call.began, strict=strict)


def _time_messages(content: Mapping[str, Any], now: int, *, strict: bool) -> Iterator[Message]:
    """Judge a time, which is in microseconds. An old one is moved to 72 hours ago unless strict."""
    if "timestamp_micros" not in content:
        return
    at = content["timestamp_micros"]
    if not isinstance(at, int) or at > now * 1000 + NEWEST:
        yield "timestamp_micros", "VALUE_INVALID"
    elif strict and at < now * 1000 - OLDEST:
        yield "timestamp_micros", "VALUE_OUT_OF_BOUNDS"


def _consent_messages(consent: object) -> Iterator[Message]:
    told = consent.items() if isinstance(consent, dict) else [("", consent)]
    if any(name not in CONSENT or value not in {"GRANTED", "DENIED"} for name, value in told):
        yield "consent", "VALUE_INVALID"


def _property_messages(properties: object) -> Iterator[Message]:
    if not isinstance(properties, dict):
        yield "user_properties", "VALUE_INVALID"
        return
    if len(properties) > PROPERTIES:
        yield "user_properties", "EXCEEDED_MAX_ENTITIES"
    for name, each in properties.items():
        if not NAMED.fullmatch(name) or len(name) > PROPERTY_NAME:
            yield "user_properties", "NAME_INVALID"
        if not isinstance(each, dict) or len(str(each.get("value", ""))) > PROPERTY_VALUE:
            yield "user_properties", "VALUE_INVALID"


def _event_messages(event: object, now: int, *, strict: bool) -> Iterator[Message]:
    if not isinstance(event, dict) or not isinstance(event.get("name"), str):
        yield "events", "VALUE_REQUIRED"
        return
    name = event["name"]
    if name in RESERVED or name.startswith(RESERVED_PREFIXES):
        yield "events", "NAME_RESERVED"
    elif not NAMED.fullmatch(name) or len(name) > NAME:
        yield "events", "NAME_INVALID"
    yield from _time_messages(event, now, strict=strict)
    if not isinstance(event.get("params", {}), dict):
        yield "events.params", "VALUE_INVALID"
        return
    parameters = _parameters(event)
    if len(parameters) > PARAMETERS:
        yield "events.params", "EXCEEDED_MAX_ENTITIES"
    for key, value in parameters.items():
        yield from _parameter_messages(key, value)


def _parameter_messages(key: str, value: object) -> Iterator[Message]:
    if key.startswith(("_", "firebase_", "ga_", "google_")):
        yield "events.params", "NAME_RESERVED"
    elif not NAMED.fullmatch(key) or len(key) > NAME:
        yield "events.params", "NAME_INVALID"
    if key == "items":
        return
    if not isinstance(value, str | int | float):
        yield "events.params", "VALUE_INVALID"
    elif len(str(value)) > LONGER.get(key, VALUE):
        yield "events.params", "VALUE_OUT_OF_BOUNDS"


def _parameters(event: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters: Mapping[str, Any] = event.get("params", {})
    return parameters


def _error(status: int, code: str) -> Answer:
    return Answer(status, {"error": {"code": status, "status": code, "message": code}})
