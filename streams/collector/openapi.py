"""The OpenAPI document of the collector, built from the same rules that check what comes."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from privacy import consent_request, tracking
from privacy.consent import Answer, Decision
from privacy.forms import contract
from privacy.policy import Service
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
nobody asked yet. `since` is the epoch of the decision in force, `notice_id` and `notice_version`
tell the notice on which it was made or last repeated. `epoch` is that of the last change.

A change is in force once it is recorded, and told of here a moment later (within a second, as a
rule): while `epoch` is smaller than those the change was answered with, remember what was sent.

`Sec-GPC: 1` and `DNT: 1` are a refusal of ads: the answer for ads is then `no`, and `because` names
the signal. While somebody's data are restricted, or were just erased, every answer is `no`.
"""


_FILLING_IN = f"""\
Send one form as UTF-8 JSON nested at most {MOST_DEPTH} deep and without duplicate names. Forms take
no files.

202 means that the form is stored. After any other answer it can be sent again as it was: with the
same `idempotency_key` it is the same form, and counts once. 410: it counted, and its service is
done, so that it was deleted.

What was filled in is sealed before it is stored, and read by the departments concerned alone.
"""
_LEAVING = """\
For the header `List-Unsubscribe` of each mail, and the link at its foot (RFC 8058). A GET shows a
page with one button and changes nothing. A POST, whatever its body, ends the subscription, and is
answered in the same way however often it comes. Neither key, origin nor cookie is asked for.
"""


def document(
    max_body: int,
    services: Mapping[str, Service] = MappingProxyType({}),
    *,
    links: bool = False,
    profiles: bool = False,
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document; ``max_body`` in bytes, the others: whether there are any."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lethe collector",
            "version": "1",
            "description": "Takes tracking events, shortens addresses, publishes; keeps consent; "
            "takes forms, sealed.",
        },
        "paths": {
            "/": {"get": _plain("What this is", "application/json")},
            "/v1/events": {"post": _send(max_body)},
            "/v1/consent": {"post": _decide(max_body), "get": _ask()},
            **{
                f"/v1/forms/{name}": {"post": _fill_in(name, services[name], max_body)}
                for name in services
            },
            **({"/v1/profile": {"get": _suggest()}} if profiles else {}),
            **({"/v1/unsubscribe/{token}": _leave()} if links else {}),
            "/healthz": {"get": _plain("The process is alive", "application/json")},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _plain("Prometheus metrics", "text/plain")},
            "/openapi.json": {"get": _plain("This document", "application/json")},
        },
        "components": {
            "schemas": {
                "Event": tracking.CONTRACT.schema(),
                "Events": _many("Event"),
                "Accepted": _object(accepted=_COUNT, event_ids=_IDS),
                "Change": consent_request.CONTRACT.schema(),
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
                            notice_id=_TEXT,
                            notice_version=_TEXT,
                            because=_SIGNAL,
                            optional={"because"},
                        ),
                    },
                    epoch={"type": "integer", "minimum": 0},
                ),
                "Profile": _object(
                    cities=_list(country=_SAID, city=_SAID),
                    interests=_list(name=_SAID, title=_SAID),
                    content={"type": "array", "items": _SAID},
                    contacts=_list(title=_SAID, contact=_SAID),
                ),
                "Begun": _object(case_id={"type": "string", "format": "uuid"}),
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
_SAID = {"type": "string"}
_IDS = {"type": "array", "items": {"type": "string"}}
_EPOCH = {"type": "integer", "minimum": 1}
_TEXT = {"type": ["string", "null"]}
_SIGNAL = {"enum": list(consent_request.SIGNALS)}
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
        "requestBody": _body(_some("Event")),
        "responses": {
            "202": {"description": "All events are stored", "content": _content("Accepted")},
            **_refused(_SENT | {Why.NO_SALT}),
        },
    }


def _decide(max_body: int) -> dict[str, Any]:
    return {
        "operationId": "recordConsent",
        "summary": "Record what a visitor decided",
        "description": f"{_DECIDING}\nA body has at most {max_body} bytes.",
        "security": _SECURITY,
        "requestBody": _body(_some("Change")),
        "responses": {
            "202": {"description": "All changes are recorded", "content": _content("Recorded")},
            "404": _NO_POLICY,
            **_refused(_SENT),
        },
    }


def _ask() -> dict[str, Any]:
    cookie_id = consent_request.FIELDS["cookie_id"]
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


def _suggest() -> dict[str, Any]:
    responses = {
        "200": {"description": "Empty lists without consent", "content": _content("Profile")}
    }
    return {
        **_ask(),
        "operationId": "tellProfile",
        "summary": "Ask what a visitor who agreed to a profile is interested in",
        "description": "Cities regularly visited, interests, pages and contacts to suggest. Of who "
        "did not agree, and of who is not known, every list is empty.",
        "responses": {**responses, **_refused(_ASKED - {Why.NOT_STORED} | {Why.NO_KEYS})},
    }


def _list(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": _object(**properties)}


def _fill_in(name: str, service: Service, max_body: int) -> dict[str, Any]:
    return {
        "operationId": f"send-{name}",
        "summary": f"Send a form: {service.title}",
        "description": f"{_FILLING_IN}\nA body has at most {max_body} bytes.",
        "security": _SECURITY,
        "requestBody": _body(contract(service).schema()),
        "responses": {
            "202": {"description": "The form is stored", "content": _content("Begun")},
            **_refused(_SENT | {Why.UNKNOWN_SERVICE, Why.DELETED, Why.NO_KEYS}),
        },
    }


def _leave() -> dict[str, Any]:
    token = {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}
    later = {"description": "It cannot be done now", "headers": _RETRY, "content": _PAGE}
    answers = {
        "404": {"description": "The link is not one of ours", "content": _PAGE},
        **{str(ANSWERS[why].status): later for why in (Why.TOO_MANY, Why.NO_KEYS)},
    }
    asked = {"200": {"description": "A page with a button", "content": _PAGE}}
    done = {"200": {"description": "The subscription ends", "content": _PAGE}}
    return {
        "description": _LEAVING,
        "parameters": [token],
        "get": {"summary": "Ask whether to unsubscribe", "responses": asked | answers},
        "post": {"summary": "Unsubscribe", "responses": done | answers},
    }


_RETRY = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
_PAGE: dict[str, Any] = {"text/html": {}}
_SECURITY: list[dict[str, list[str]]] = [{"header": []}, {"query": []}]
_NO_POLICY = {"description": "No privacy policy is configured", "content": _content("Refused")}
_SENT = {
    Why.FOREIGN_ORIGIN,
    Why.UNKNOWN_KEY,
    Why.TOO_MANY,
    Why.MEDIA_TYPE,
    Why.TOO_LARGE,
    Why.TOO_SLOW,
    Why.MALFORMED,
    Why.CONTRACT,
    Why.NOT_STORED,
}
_ASKED = {
    Why.FOREIGN_ORIGIN,
    Why.UNKNOWN_KEY,
    Why.TOO_MANY,
    Why.CONTRACT,
    Why.NOT_STORED,
    Why.NO_CONSENTS,
}


def _some(name: str) -> dict[str, Any]:
    """Describe one of ``name``, many, or many in an object."""
    many = f"{name}s"
    return {"anyOf": [_ref(name), _ref(many), _object(**{many.lower(): _ref(many)})]}


def _body(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a body as JSON or as text that is JSON."""
    as_text = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    return {
        "required": True,
        "content": {"application/json": {"schema": schema}, "text/plain": {"schema": as_text}},
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
            described["headers"] = _RETRY
        found[str(status)] = described
    return found
