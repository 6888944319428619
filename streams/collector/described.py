"""What routes have in common in the OpenAPI document: schemas, bodies, refusals, pages."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final

from streams.collector.refusal import ANSWERS, Why

RETRY: Final = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
PAGE: Final[dict[str, Any]] = {"text/html": {}}
SECURITY: Final[list[dict[str, list[str]]]] = [{"header": []}, {"query": []}]

SENT: Final = {
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
"""How a route that takes JSON may refuse it."""


def ref(name: str) -> dict[str, str]:
    """Point to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def obj(optional: Collection[str] = (), **properties: Mapping[str, Any]) -> dict[str, Any]:
    """Describe an object of just these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def content_of(name: str) -> dict[str, Any]:
    """Describe JSON of a schema of the document."""
    return {"application/json": {"schema": ref(name)}}


def body_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a body as JSON or as text that is JSON."""
    as_text = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    return {
        "required": True,
        "content": {"application/json": {"schema": schema}, "text/plain": {"schema": as_text}},
    }


def refusals(whys: Collection[Why]) -> dict[str, Any]:
    """Describe the answers to the refusals that a route knows, by status."""
    found: dict[str, Any] = {}
    for status in sorted({ANSWERS[why].status for why in whys}):
        errors = [
            ANSWERS[why].error for why in Why if why in whys and ANSWERS[why].status == status
        ]
        names = "Problems" if status == ANSWERS[Why.CONTRACT].status else "Refused"
        described = {"description": "; or ".join(errors), "content": content_of(names)}
        if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            described["headers"] = RETRY
        found[str(status)] = described
    return found


def link(
    description: str,
    look: str,
    act: str,
    done: Mapping[str, Any],
    others: Mapping[str, str],
) -> dict[str, Any]:
    """Describe a page behind a link: what a GET and a POST do, and what the latter answers.

    ``others`` are answers of both, by status.
    """
    token = {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}
    later = {"description": "It cannot be done now", "headers": RETRY, "content": PAGE}
    answers = {
        **{status: {"description": each, "content": PAGE} for status, each in others.items()},
        **{str(ANSWERS[why].status): later for why in (Why.TOO_MANY, Why.NO_KEYS)},
    }
    asked = {"200": {"description": "A page with a button", "content": PAGE}}
    return {
        "description": description,
        "parameters": [token],
        "get": {"summary": look, "responses": asked | answers},
        "post": {"summary": act, "responses": {"200": done, **answers}},
    }
