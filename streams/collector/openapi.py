"""The OpenAPI document of the collector, built from the same rules that check the events."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from privacy.tracking import json_schema
from streams.collector.body import MOST_DEPTH, MOST_EVENTS, MOST_FAULTS
from streams.collector.refusal import ANSWERS, Why

_SENDING = f"""\
Send one event, an array of 1 to {MOST_EVENTS} events, or an object whose only field `events` is
such an array, as UTF-8 JSON nested at most {MOST_DEPTH} deep and without duplicate names.

All or nothing: 202 means that every event is stored by all of the broker's replicas. After any
other answer nothing may be taken as stored, and the request can be sent again as it was. Give each
event an `event_id` of its own, so that one stored twice counts once.

`navigator.sendBeacon(url + "?key=...", JSON.stringify(events))` works as it is: a string is sent
as text/plain. Do not send a Blob of type application/json from another origin: browsers then ask
for cookies to be allowed, which is never answered with yes.
"""


def document(max_body: int) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document; ``max_body`` in bytes."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lethe collector",
            "version": "1",
            "description": "Takes tracking events, shortens addresses, publishes.",
        },
        "paths": {
            "/": {"get": _plain("What this is", "application/json")},
            "/v1/events": {"post": _send(max_body)},
            "/healthz": {"get": _plain("The process is alive", "application/json")},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _plain("Prometheus metrics", "text/plain")},
            "/openapi.json": {"get": _plain("This document", "application/json")},
        },
        "components": {
            "schemas": {
                "Event": json_schema(),
                "Events": {
                    "type": "array",
                    "items": _EVENT,
                    "minItems": 1,
                    "maxItems": MOST_EVENTS,
                },
                "Accepted": _object(
                    accepted={"type": "integer", "minimum": 1, "maximum": MOST_EVENTS},
                    event_ids={"type": "array", "items": {"type": "string"}},
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


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_EVENT = _ref("Event")
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
    shapes = {
        "anyOf": [
            _EVENT,
            _ref("Events"),
            _object(events=_ref("Events")),
        ]
    }
    as_text = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": shapes,
    }
    return {
        "operationId": "sendEvents",
        "summary": "Send tracking events",
        "description": f"{_SENDING}\nA body has at most {max_body} bytes.",
        "security": [{"header": []}, {"query": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": shapes}, "text/plain": {"schema": as_text}},
        },
        "responses": {
            "202": {"description": "All events are stored", "content": _content("Accepted")},
            **{str(status): _refused(status) for status in sorted(_STATUSES)},
        },
    }


_STATUSES = {answer.status for answer in ANSWERS.values()}


def _refused(status: int) -> dict[str, Any]:
    errors = [answer.error for answer in ANSWERS.values() if answer.status == status]
    names = "Problems" if status == ANSWERS[Why.CONTRACT].status else "Refused"
    described = {"description": "; or ".join(errors), "content": _content(names)}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        described["headers"] = {
            "Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}
        }
    return described
