"""The SDK for sites: a person exercises a right, on a page of yours (S17 to S24).

    asked = submit_request(
        "https://collect.example", key, "access", email="visitor@example.com", language="nl"
    )

Who gives an e-mail address gets a mail with a link to confirm it; who gives the cookie id alone
has shown who they are, and ``asked.answer`` is where the answer will be. The collector says the
same of people it knows and of people it does not. Needs the standard library alone.
"""

import ssl
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lethe.sending import FailedError, RefusedError, send


@dataclass(frozen=True, slots=True)
class Submitted:
    """A request that is stored.

    ``answer`` is the address of the page where the answer can be fetched, once, by whoever has it:
    show it to the visitor and keep it nowhere. None: it comes by mail. In no ``repr``.
    """

    request_id: str
    answer: str | None = field(repr=False)


class RequestRefusedError(RefusedError):
    """Raised when a request is not taken, now or later; nothing of it was stored.

    ``problems`` name fields and rules, never a value; ``status`` is the collector's answer: 422, or
    404 where the policy has no part on rights.
    """


class RequestFailedError(FailedError):
    """Raised when nobody said that a request is stored: it may be, or not, or came too often.

    Send it again, with this ``idempotency_key`` and the same content; it counts once.
    """

    what = "request"


def submit_request(
    url: str,
    key: str,
    right: str,
    *,
    email: str | None = None,
    cookie_id: str | None = None,
    ground: str | None = None,
    language: str | None = None,
    service: str | None = None,
    purposes: Sequence[str] | None = None,
    corrections: Mapping[str, str] | None = None,
    statement: str | None = None,
    transfer_to: str | None = None,
    idempotency_key: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    ids: Callable[[], str] = lambda: str(uuid.uuid4()),  # noqa: TID251 - the edge: ids are made here
) -> Submitted:
    """Send a request and return its id once it is stored. One of ``email``, ``cookie_id`` at least.

    ``url`` is the collector's, ``key`` the site's. ``right`` is access, rectification, erasure,
    restriction, lifting, portability, objection or withdrawal; erasure, restriction and objection
    take a ``ground``. ``corrections`` are new values by field. ``idempotency_key`` names this
    request (8 to 64 letters, digits, _ or -), so that sending it again is no second one; default: a
    new one.

    Raises RequestRefusedError, RequestFailedError, and ValueError for a ``url`` without TLS, except
    on this machine.
    """
    content = {
        "right": right,
        "ground": ground,
        "email": email,
        "cookie_id": cookie_id,
        "language": language,
        "service": service,
        "purposes": None if purposes is None else list(purposes),
        "corrections": None if corrections is None else dict(corrections),
        "statement": statement,
        "transfer_to": transfer_to,
        "idempotency_key": idempotency_key or ids(),
    }
    told = send(
        url,
        key,
        "/v1/requests",
        content,
        refused=RequestRefusedError,
        failed=RequestFailedError,
        wanted="request_id",
        ssl_context=ssl_context,
    )
    path = told.get("answer")
    return Submitted(told["request_id"], None if path is None else f"{url.rstrip('/')}{path}")
