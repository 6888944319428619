"""What the SDK's calls to the collector share: sent once, and taken, refused or unknown."""

import json
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from lethe.https import Server, UnreachableError
from privacy.contract import Problem

_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class RefusedError(ValueError):
    """Raised when what was sent is not taken, now or later; nothing of it was stored.

    ``problems`` name fields and rules, never a value; ``status`` is the collector's answer.
    """

    def __init__(self, status: int, error: str, problems: Sequence[Problem]) -> None:
        told = "; ".join(f"{each.field} {each.rule}" for each in problems)
        super().__init__(told or error)
        self.status = status
        self.problems = tuple(problems)


class FailedError(RuntimeError):
    """Raised when nobody said that what was sent is stored: it may be, or not.

    Send it again, with this ``idempotency_key``; it counts once.
    """

    what: ClassVar[str]

    def __init__(self, why: str, idempotency_key: str) -> None:
        super().__init__(f"the collector did not confirm the {self.what}: {why}")
        self.idempotency_key = idempotency_key


def send(
    url: str,
    key: str,
    path: str,
    content: Mapping[str, Any],
    *,
    refused: type[RefusedError],
    failed: type[FailedError],
    wanted: str,
    ssl_context: ssl.SSLContext | None,
) -> Mapping[str, Any]:
    """Send what of ``content`` is not None; return the answer, which has text under ``wanted``.

    ``content`` has an ``idempotency_key``. Raise ``refused``, ``failed``, and ValueError for a
    ``url`` without TLS, except on this machine.
    """
    server = Server(url, ssl_context)
    given = {name: each for name, each in content.items() if each is not None}
    idempotency_key = content["idempotency_key"]
    try:
        status, body = server.post(path, given, {"X-Lethe-Key": key})
    except UnreachableError as error:
        raise failed(str(error), idempotency_key) from None
    answer = _parse(body)
    if status == HTTPStatus.ACCEPTED and isinstance(answer.get(wanted), str):
        return answer
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _LATER:
        raise refused(status, str(answer.get("error", status)), _problems(answer))
    raise failed(f"status {status}", idempotency_key)


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
