"""The SDK for sites: send a form to the collector (S1).

    case_id = submit_form(
        "https://collect.example", key, "sample-request",
        {"last_name": "Example", "email": "visitor@example.com"}, idempotency_key=form_id,
    )

Forms do not go to Kafka from here: they are sealed with a key that the collector makes. Needs the
standard library alone.
"""

import ssl
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import quote

from lethe.sending import FailedError, RefusedError, send


class FormRefusedError(RefusedError):
    """Raised when a form is not taken, now or later; nothing of it was stored.

    ``problems`` name fields and rules, never a value; ``status`` is the collector's answer: 422,
    410 for one that was deleted since it was sent first, 404 for a service nobody named.
    """


class FormFailedError(FailedError):
    """Raised when nobody said that a form is stored: it may be, or not.

    Send it again, with this ``idempotency_key``; it counts once.
    """

    what = "form"


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
    content = {
        "fields": dict(fields),
        "idempotency_key": idempotency_key or ids(),
        "group": group,
        "language": language,
        "further_processing": further_processing and dict(further_processing),
    }
    answer = send(
        url,
        key,
        f"/v1/forms/{quote(service, safe='')}",
        content,
        refused=FormRefusedError,
        failed=FormFailedError,
        wanted="case_id",
        ssl_context=ssl_context,
    )
    return str(answer["case_id"])
