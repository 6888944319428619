"""The OpenAPI document of the collector, built from the same rules that check what comes."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from privacy import consents, tracking
from privacy.consent import Answer, Decision
from streams.collector.body import MOST_DEPTH, MOST_FAULTS, MOST_ITEMS
from streams.collector.refusal import ANSWERS, Why

_SENDING = f"""\
Send one event, an array of 1 to {MOST_ITEMS} events, or an object whose only field `events` is
such an array, as UTF-8 JSON nested at most {MOST_DEPTH} deep and without duplicate names.

All or nothing: 202 means that every event is stored by all of the broker's replicas. After any
other answer nothing may be taken as stored, and the request can be sent again as it was. Give each
event an `event_id` of its own, so that one stored twice counts once.

`navigator.sendBeacon(url + "?key=...", JSON.stringify(events))` works as it is: a string is sent
as text/plain. Do not send a Blob of type application/json from another origin: browsers then ask
for cookies to be allowed, which is never answered with yes.

From a browser that sends `Sec-GPC: 1` or `DNT: 1` an event loses `ad_ids` and `consent_epoch`.
"""
_DECIDING = f"""\
Send one change, an array of 1 to {MOST_ITEMS} changes of one visitor, or an object whose only field
`changes` is such an array, as JSON like that of events. All or nothing, as with events.

202 means that the decisions are recorded. `epochs` are, by purpose, what the visitor's events carry
as `consent_epoch` from then on. Purposes are those of the privacy policy.

`Sec-GPC: 1` and `DNT: 1` are a refusal of ads: a `given` for a purpose of ads is then recorded as
`refused`, and `because` names the purpose and the signal.
"""
_ASKING = """\
Answers for every purpose of the privacy policy what the visitor chose: `yes`, `no`, or `ask` when
nobody asked yet. `since` is the epoch of the decision in force, `epoch` that of the last one.

`Sec-GPC: 1` and `DNT: 1` are a refusal of ads: the answer for ads is then `no`, and `because` names
the signal.
"""


def document(max_body: int) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document; ``max_body`` in bytes."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lethe collector",
            "version": "1",
            "description": "Takes tracking events, shortens addresses, publishes; keeps consent.",
        },
        "paths": {
            "/": {"get": _plain("What this is", "application/json")},
            "/v1/events": {"post": _send(max_body)},
            "/v1/consent": {"post": _decide(max_body), "get": _ask()},
            "/healthz": {"get": _plain("The process is alive", "application/json")},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _plain("Prometheus metrics", "text/plain")},
            "/openapi.json": {"get": _plain("This document", "application/json")},
        },
        "components": {
            "schemas": {
                "Event": tracking.json_schema(),
                "Events": _many("Event"),
                "Accepted": _object(accepted=_COUNT, event_ids=_IDS),
                "Change": consents.json_schema(),
                "Changes": _many("Change"),
                "Recorded": _object(
                    recorded=_COUNT,
                    epochs={"type": "object", "additionalProperties": _EPOCH},
                    change_ids=_IDS,
                    because={"type": "object", "additionalProperties": _SIGNAL},
                    optional={"because"},
                ),
                "Consent": _object(
                    purposes={
                        "type": "object",
                        "additionalProperties": _object(
                            answer={"enum": list(Answer)},
                            decision={"enum": [*Decision, None]},
                            since={"anyOf": [_EPOCH, {"type": "null"}]},
                            because=_SIGNAL,
                            optional={"because"},
                        ),
                    },
                    epoch={"type": "integer", "minimum": 0},
                ),
                "Refused": _object(error={"type": "string"}),
                "Problems": _object(
                    error={"type": "string"},
                    problems={"type": "array", "maxItems": MOST_FAULTS, "items": _PROBLEM},
                ),
                "Readiness": _object(broker={"type": "boolean"}, salts={"type": "boolean"}),
            },
            "securitySchemes": {
                "header": {"type": "apiKey", "in": "header", "name": "X-Lethe-Key"},
                "query": {"type": "apiKey", "in": "query", "name": "key"},
            },
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(optional: Collection[str] = (), **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _many(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name), "minItems": 1, "maxItems": MOST_ITEMS}


_COUNT = {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS}
_IDS = {"type": "array", "items": {"type": "string"}}
_EPOCH = {"type": "integer", "minimum": 1}
_SIGNAL = {"enum": list(consents.SIGNALS)}
_PROBLEM = _object(
    index={"type": ["integer", "null"], "description": "Place in the batch; null: the batch."},
    field={"type": "string"},
    rule={"type": "string"},
)


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(name)}}


def _plain(summary: str, media_type: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {media_type: {}}}},
    }


def _ready() -> dict[str, Any]:
    return {
        "summary": "Whether events can be taken now",
        "responses": {
            "200": {"description": "They can", "content": _content("Readiness")},
            "503": {"description": "Broker or key store is away", "content": _content("Readiness")},
        },
    }


def _send(max_body: int) -> dict[str, Any]:
    return {
        "operationId": "sendEvents",
        "summary": "Send tracking events",
        "description": f"{_SENDING}\nA body has at most {max_body} bytes.",
        "security": _SECURITY,
        "requestBody": _body("Event"),
        "responses": {
            "202": {"description": "All events are stored", "content": _content("Accepted")},
            **_refused(set(Why) - {Why.NO_CONSENTS}),
        },
    }


def _decide(max_body: int) -> dict[str, Any]:
    return {
        "operationId": "recordConsent",
        "summary": "Record what a visitor decided",
        "description": f"{_DECIDING}\nA body has at most {max_body} bytes.",
        "security": _SECURITY,
        "requestBody": _body("Change"),
        "responses": {
            "202": {"description": "All changes are recorded", "content": _content("Recorded")},
            "404": _NO_POLICY,
            **_refused(set(Why) - {Why.NO_CONSENTS, Why.NO_SALT}),
        },
    }


def _ask() -> dict[str, Any]:
    cookie_id = consents.FIELDS["cookie_id"]
    return {
        "operationId": "tellConsent",
        "summary": "Ask what a visitor chose",
        "description": _ASKING,
        "security": _SECURITY,
        "parameters": [
            {
                "name": "cookie_id",
                "in": "query",
                "required": True,
                "description": cookie_id.doc,
                "schema": cookie_id.schema(),
            }
        ],
        "responses": {
            "200": {"description": "What the visitor chose", "content": _content("Consent")},
            "404": _NO_POLICY,
            **_refused(_ASKED),
        },
    }


_SECURITY: list[dict[str, list[str]]] = [{"header": []}, {"query": []}]
_NO_POLICY = {"description": "No privacy policy is configured", "content": _content("Refused")}
_ASKED = {
    Why.FOREIGN_ORIGIN,
    Why.UNKNOWN_KEY,
    Why.TOO_MANY,
    Why.CONTRACT,
    Why.NOT_STORED,
    Why.NO_CONSENTS,
}


def _body(name: str) -> dict[str, Any]:
    """Describe one of ``name``, many, or many in an object, as JSON or as text that is JSON."""
    many = f"{name}s"
    shapes = {"anyOf": [_ref(name), _ref(many), _object(**{many.lower(): _ref(many)})]}
    as_text = {"type": "string", "contentMediaType": "application/json", "contentSchema": shapes}
    return {
        "required": True,
        "content": {"application/json": {"schema": shapes}, "text/plain": {"schema": as_text}},
    }


def _refused(whys: Collection[Why]) -> dict[str, Any]:
    """Describe the answers to the refusals that a route knows, by status."""
    found: dict[str, Any] = {}
    for status in sorted({ANSWERS[why].status for why in whys}):
        errors = [
            ANSWERS[why].error for why in Why if why in whys and ANSWERS[why].status == status
        ]
        names = "Problems" if status == ANSWERS[Why.CONTRACT].status else "Refused"
        described = {"description": "; or ".join(errors), "content": _content(names)}
        if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            described["headers"] = {
                "Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}
            }
        found[str(status)] = described
    return found
