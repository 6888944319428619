"""What is said of requests, as ``subject-requests`` carries it; what is asked, sealed (S17 to S24).

Apart from ``streams.rights``, since the collector says it too and needs nothing else of that.
"""

from collections.abc import Mapping

from privacy.rights.request import Asked, from_json, to_json
from schemas.codec import encode
from sinks.keys.seal import VERSION, seal, unseal
from sinks.ledger.requests import Request

REQUESTS = "subject-requests"
COOKIE, LINK, OPERATOR = "cookie", "link", "operator"
"""By whom it is said; an operator with the reason behind a colon."""

_FIELD = "asked"


def asked_record(
    asked: Asked, key: bytes, *, request_id: str, site: str, subject: str | None, at: int, by: str
) -> bytes:
    """Return a request, sealed with its ``key``, as received at ``at`` (ms since 1970)."""
    return _record(
        request_id,
        "asked",
        at,
        by,
        right=asked.right.value,
        site=site,
        subject=subject,
        has_visitor=asked.cookie_id is not None,
        language=asked.language,
        key_version=VERSION,
        sealed=seal_asked(asked, key, site=site, request_id=request_id),
    )


def seal_asked(asked: Asked, key: bytes, *, site: str, request_id: str) -> bytes:
    """Return what ``open_asked`` opens."""
    return seal(key, {_FIELD: to_json(asked)}, site=site, case_id=request_id)[_FIELD]


def open_asked(request: Request, key: bytes) -> Asked:
    """Return what a request asks. Raise ValueError when ``key`` did not seal it."""
    sealed = {_FIELD: request.sealed or b""}
    opened = unseal(key, sealed, site=request.site, case_id=request.request_id)
    return from_json(opened[_FIELD])


def said_record(
    request_id: str, kind: str, by: str, at: int, details: Mapping[str, str] | None = None
) -> bytes:
    """Return what becomes of a request: confirmed, refused, extended or lifted."""
    return _record(request_id, kind, at, by, details=dict(details or {}))


def _record(request_id: str, kind: str, at: int, by: str, **more: object) -> bytes:
    empty: dict[str, object] = {
        "request_id": request_id,
        "kind": kind,
        "right": "",
        "site": "",
        "subject": None,
        "has_visitor": by == COOKIE,
        "language": "",
        "received_at": at,
        "key_version": 0,
        "sealed": b"",
        "by": by,
        "details": {},
    }
    return encode("subject_request", empty | more)
