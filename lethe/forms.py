"""The SDK for sites: send a form to the collector (S1).

    case_id = submit_form(
        "https://collect.example", key, "sample-request",
        {"last_name": "Example", "email": "visitor@example.com"}, idempotency_key=form_id,
    )

Forms do not go to Kafka from here: they are sealed with a key that the collector makes. Needs the
standard library alone.
"""

import json
import ssl
import uuid
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from lethe.https import Server, UnreachableError
from privacy.contract import Problem

_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class FormRefusedError(ValueError):
    """Raised when a form is not taken, now or later; nothing of it was stored.

    ``problems`` name fields and rules, never a value; ``status`` is the collector's answer: 422,
    410 for one that was deleted since it was sent first, 404 for a service nobody named.
    """

    def __init__(self, status: int, error: str, problems: Sequence[Problem]) -> None:
        told = "; ".join(f"{each.field} {each.rule}" for each in problems)
        super().__init__(told or error)
        self.status = status
        self.problems = tuple(problems)


class FormFailedError(RuntimeError):
    """Raised when nobody said that a form is stored: it may be, or not.

    Send it again, with this ``idempotency_key``; it counts once.
    """

    def __init__(self, why: str, idempotency_key: str) -> None:
        super().__init__(f"the collector did not confirm the form: {why}")
        self.idempotency_key = idempotency_key


def submit_form(
    url: str,
    key: str,
    service: str,
    fields: Mapping[str, str | float | None],
    *,
    idempotency_key: str | None = None,
    group: str | None = None,
    language: str | None = None,
    further_processing: Mapping[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    ids: Callable[[], str] = lambda: str(uuid.uuid4()),  # noqa: TID251 - the edge: ids are made here
) -> str:
    """Send what was filled in and return the case's id once it is stored.

    ``url`` is the collector's, ``key`` the site's. ``idempotency_key`` names this form (8 to 64
    letters, digits, _ or -), so that sending it again is no second one; default: a new one.
    ``group`` is the contest, event, survey or vacancy; ``further_processing`` the notice on which
    that was consented to: ``{"notice_id": ..., "notice_version": ...}``.

    Raises FormRefusedError, FormFailedError, and ValueError for a ``url`` without TLS, except on
    this machine.
    """
    form_key = idempotency_key or ids()
    content = {
        "fields": dict(fields),
        "idempotency_key": form_key,
        "group": group,
        "language": language,
        "further_processing": further_processing and dict(further_processing),
    }
    server = Server(url, ssl_context)
    given = {name: each for name, each in content.items() if each is not None}
    path = f"/v1/forms/{quote(service, safe='')}"
    try:
        status, body = server.post(path, given, {"X-Lethe-Key": key})
    except UnreachableError as error:
        raise FormFailedError(str(error), form_key) from None
    answer = _parse(body)
    if status == HTTPStatus.ACCEPTED and isinstance(answer.get("case_id"), str):
        return str(answer["case_id"])
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _LATER:
        raise FormRefusedError(status, str(answer.get("error", status)), _problems(answer))
    raise FormFailedError(f"status {status}", form_key)


def _problems(answer: Mapping[str, Any]) -> list[Problem]:
    told = answer.get("problems")
    each_told = told if isinstance(told, list) else ()
    return [Problem(str(each["field"]), str(each["rule"])) for each in each_told
            if isinstance(each, dict) and {"field", "rule"} <= each.keys()]  # fmt: skip


def _parse(body: bytes) -> dict[str, Any]:
    """Return a JSON object; what is none is not the collector's."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
