"""What is said of requests, as ``subject-requests`` carries it."""

from collections.abc import Mapping

from privacy.rights.request import Asked
from schemas.codec import encode
from sinks.keys.seal import VERSION
from streams.rights.content import seal_asked

REQUESTS = "subject-requests"
COOKIE, LINK, OPERATOR = "cookie", "link", "operator"
"""By whom it is said; an operator with the reason behind a colon."""


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
        "has_visitor": False,
        "language": "",
        "received_at": at,
        "key_version": 0,
        "sealed": b"",
        "by": by,
        "details": {},
    }
    return encode("subject_request", empty | more)
