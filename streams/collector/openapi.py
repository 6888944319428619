"""The OpenAPI document of the collector, built from the same rules that check what comes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from privacy import consent_request, tracking
from privacy.consent import Answer, Decision
from privacy.contract import Contract
from privacy.forms import contract
from privacy.policy import Service
from streams.collector import openapi_links
from streams.collector.body import MOST_DEPTH, MOST_FAULTS, MOST_ITEMS
from streams.collector.described import SECURITY, SENT, body_of, content_of, obj, ref, refusals
from streams.collector.refusal import Why

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


def document(
    max_body: int,
    services: Mapping[str, Service] = MappingProxyType({}),
    *,
    links: bool = False,
    profiles: bool = False,
    guard: bool = False,
    requests: Contract | None = None,
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document; ``max_body`` in bytes, the others: whether there are any.

    ``requests`` is the contract of what people may ask of their rights.
    """
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
            **({"/v1/guard": {"get": _GUARD}} if guard else {}),
            **({} if requests is None else openapi_links.requests(requests, max_body)),
            **(openapi_links.LEAVING if links else {}),
            "/healthz": {"get": _plain("The process is alive", "application/json")},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _plain("Prometheus metrics", "text/plain")},
            "/openapi.json": {"get": _plain("This document", "application/json")},
        },
        "components": {
            "schemas": {
                "Event": tracking.CONTRACT.schema(),
                "Events": _many("Event"),
                "Accepted": obj(accepted=_COUNT, event_ids=_IDS),
                "Change": consent_request.CONTRACT.schema(),
                "Changes": _many("Change"),
                "Recorded": obj(
                    recorded=_COUNT,
                    epochs={"type": "object", "additionalProperties": _EPOCH},
                    change_ids=_IDS,
                    because={"type": "object", "additionalProperties": _SIGNAL},
                    optional={"because"},
                ),
                "Consent": obj(
                    purposes={
                        "type": "object",
                        "additionalProperties": obj(
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
                "Profile": obj(
                    cities=_list(country=_SAID, city=_SAID),
                    interests=_list(name=_SAID, title=_SAID),
                    content={"type": "array", "items": _SAID},
                    contacts=_list(title=_SAID, contact=_SAID),
                ),
                "Begun": obj(case_id={"type": "string", "format": "uuid"}),
                "Asked": openapi_links.ASKED,
                "Refused": obj(error={"type": "string"}),
                "Problems": obj(
                    error={"type": "string"},
                    problems={"type": "array", "maxItems": MOST_FAULTS, "items": _PROBLEM},
                ),
                "Readiness": obj(broker={"type": "boolean"}, salts={"type": "boolean"}),
            },
            "securitySchemes": {
                "header": {"type": "apiKey", "in": "header", "name": "X-Lethe-Key"},
                "query": {"type": "apiKey", "in": "query", "name": "key"},
            },
        },
    }


def _many(name: str) -> dict[str, Any]:
    return {"type": "array", "items": ref(name), "minItems": 1, "maxItems": MOST_ITEMS}


_COUNT = {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS}
_SAID = {"type": "string"}
_IDS = {"type": "array", "items": {"type": "string"}}
_EPOCH = {"type": "integer", "minimum": 1}
_TEXT = {"type": ["string", "null"]}
_SIGNAL = {"enum": list(consent_request.SIGNALS)}
_PROBLEM = obj(
    index={"type": ["integer", "null"], "description": "Place in the batch; null: the batch."},
    field={"type": "string"},
    rule={"type": "string"},
)


def _plain(summary: str, media_type: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {media_type: {}}}},
    }


def _ready() -> dict[str, Any]:
    readiness = content_of("Readiness")
    return {
        "summary": "Whether events can be taken now",
        "responses": {
            "200": {"description": "They can", "content": readiness},
            "503": {"description": "Broker or key store is away", "content": readiness},
        },
    }


def _send(max_body: int) -> dict[str, Any]:
    return {
        "operationId": "sendEvents",
        "summary": "Send tracking events",
        "description": f"{_SENDING}\nA body has at most {max_body} bytes.",
        "security": SECURITY,
        "requestBody": body_of(_some("Event")),
        "responses": {
            "202": {"description": "All events are stored", "content": content_of("Accepted")},
            **refusals(SENT | {Why.NO_SALT}),
        },
    }


def _decide(max_body: int) -> dict[str, Any]:
    return {
        "operationId": "recordConsent",
        "summary": "Record what a visitor decided",
        "description": f"{_DECIDING}\nA body has at most {max_body} bytes.",
        "security": SECURITY,
        "requestBody": body_of(_some("Change")),
        "responses": {
            "202": {"description": "All changes are recorded", "content": content_of("Recorded")},
            "404": _NO_POLICY,
            **refusals(SENT),
        },
    }


def _ask() -> dict[str, Any]:
    cookie_id = consent_request.FIELDS["cookie_id"]
    return {
        "operationId": "tellConsent",
        "summary": "Ask what a visitor chose",
        "description": _ASKING,
        "security": SECURITY,
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
            "200": {"description": "What the visitor chose", "content": content_of("Consent")},
            "404": _NO_POLICY,
            **refusals(_ASKED),
        },
    }


def _suggest() -> dict[str, Any]:
    responses = {
        "200": {"description": "Empty lists without consent", "content": content_of("Profile")}
    }
    return {
        **_ask(),
        "operationId": "tellProfile",
        "summary": "Ask what a visitor who agreed to a profile is interested in",
        "description": "Cities regularly visited, interests, pages and contacts to suggest. Of who "
        "did not agree, and of who is not known, every list is empty.",
        "responses": {**responses, **refusals(_ASKED - {Why.NOT_STORED} | {Why.NO_KEYS})},
    }


_GUARD = {
    "operationId": "guard",
    "summary": "Ask whether a visitor is to be refused",
    "description": "For web servers, before they serve a request (`auth_request`, "
    "`forward_auth`). The visitor is who the request comes from; behind a proxy that is trusted, "
    "who that names. No key is asked for: a caller is told about itself alone.",
    "responses": {
        "204": {"description": "Not known to be refused; also when nobody can tell"},
        "403": {"description": "An alert says so", "content": content_of("Refused")},
    },
}


def _list(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": obj(**properties)}


def _fill_in(name: str, service: Service, max_body: int) -> dict[str, Any]:
    return {
        "operationId": f"send-{name}",
        "summary": f"Send a form: {service.title}",
        "description": f"{_FILLING_IN}\nA body has at most {max_body} bytes.",
        "security": SECURITY,
        "requestBody": body_of(contract(service).schema()),
        "responses": {
            "202": {"description": "The form is stored", "content": content_of("Begun")},
            **refusals(SENT | {Why.UNKNOWN_SERVICE, Why.DELETED, Why.NO_KEYS}),
        },
    }


_NO_POLICY = {"description": "No privacy policy is configured", "content": content_of("Refused")}
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
    return {"anyOf": [ref(name), ref(many), obj(**{many.lower(): ref(many)})]}
