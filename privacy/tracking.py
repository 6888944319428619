"""What a tracking event may hold, and what becomes of it where it enters (S9, S11).

Collector, SDK and log reader share this module, so that an event is checked, shortened and hashed
in one way whichever door it takes. A field that is not listed here is refused by name; there is
none for a user id, and none for free properties in which one could hide.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from privacy.contract import Contract, Problem
from privacy.durations import DAY_MS
from privacy.network import shorten
from privacy.pseudonym import Salt, visitor_hash
from privacy.rules import (
    Choice,
    Degrees,
    Flag,
    Moment,
    Names,
    Rule,
    Text,
    Whole,
    identifier,
    milliseconds,
)

EARLIEST_MS = 946_684_800_000  # 2000-01-01: no web server's clock was that wrong on purpose
AHEAD_MS = 300_000  # how far a visitor's clock may be ahead of ours

TYPES = ("page_view", "search", "click", "error", "custom")
AD_IDS = ("gclid", "gbraid", "wbraid", "fbp", "fbc", "li_fat_id", "twclid", "ga_client_id")

UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

_USER_AGENT = Text("Default: the request's User-Agent.", 1024)

FIELDS: Mapping[str, Rule] = {
    "type": Choice("What happened.", TYPES),
    "event_id": Text(
        "A UUID made by the sender; a retry carries the same one.",
        36,
        UUID,
        "must be a UUID in lower case",
    ),
    "occurred_at": Moment("When it happened, by the sender's clock.", EARLIEST_MS),
    "name": Text("What a click or custom event is called.", 64),
    "page": Text("URL of the page.", 2048),
    "referrer": Text("URL of the page before.", 2048),
    "search_terms": Text("What was searched; kept only where the site opted in.", 256),
    "status": Whole("HTTP status of an error.", 100, 599),
    "cookie_id": identifier("The visitor's cookie for this site."),
    "session_id": identifier("The session's cookie."),
    "device_id": identifier("The device's identifier."),
    "user_agent": _USER_AGENT,
    "ip": Text("For servers that send for a visitor; default: the connection's.", 64),
    "latitude": Degrees("Degrees north, with location_consent only.", 90),
    "longitude": Degrees("Degrees east, with location_consent only.", 180),
    "location_consent": Flag("Whether the visitor agreed to the use of coordinates."),
    "consent_epoch": Whole("Epoch of the ads consent in force.", 1, 2**53),
    "ad_ids": Names("Ad providers' identifiers; with consent_epoch only.", AD_IDS),
}
CONTRACT = Contract(
    "event",
    "tracking events",
    FIELDS,
    required=("type",),
    refused={
        r"(?i)(user|login|account|customer|member)_?(id|name)?|e?_?mail": (
            "tracking is never linked to a user"
        )
    },
)


def problems(event: object, received_at: int, max_age_ms: int | None = None) -> Sequence[Problem]:
    """Return every rule ``event`` breaks; empty when it may enter.

    ``received_at`` in milliseconds since 1970. ``max_age_ms`` bounds how old an event may be;
    None for logs, which are as old as they are.
    """
    found = list(CONTRACT.problems(event))
    if isinstance(event, Mapping):
        found += _contradictions(event, received_at, max_age_ms)
    return found


def _contradictions(
    event: Mapping[str, Any], received_at: int, max_age_ms: int | None
) -> Iterator[Problem]:
    """Yield what no field's own rule can see: the time of day, and fields beside each other."""
    moment = milliseconds(event.get("occurred_at"))
    if moment is not None and moment > received_at + AHEAD_MS:
        yield Problem("occurred_at", "must not lie in the future")
    if moment is not None and max_age_ms is not None and moment < received_at - max_age_ms:
        yield Problem("occurred_at", "is too old")
    if event.get("ad_ids") and event.get("consent_epoch") is None:
        yield Problem("ad_ids", "needs consent_epoch: no provider id without consent to ads")


def enter(
    event: Mapping[str, Any],
    *,
    site: str,
    address: str | None,
    user_agent: str | None,
    received_at: int,
    event_id: str,
    salt: Salt | None,
) -> dict[str, Any]:
    """Turn a checked event into a ``tracking_event`` record that may be published.

    The address is shortened here; the visitor hash is made before that, from the full one, when
    ``salt`` is given (without it the lane makes one from what is left). Coordinates without
    consent are left out. ``address`` and ``user_agent`` are the connection's; the event's own win.
    A connection's user agent that breaks the field's rule is left out too, one too long cut.
    """
    address = event.get("ip") or address
    user_agent = event.get("user_agent") or _tame(user_agent)
    occurred_at = milliseconds(event.get("occurred_at"))
    occurred_at = received_at if occurred_at is None else occurred_at
    located = bool(event.get("location_consent"))
    record = {name: event.get(name) for name in _COPIED}
    record |= {
        "event_id": event.get("event_id") or event_id,
        "occurred_at": occurred_at,
        "received_at": received_at,
        "site": site,
        "ip": shorten(address) if address else None,
        "user_agent": user_agent or None,
        "latitude": event.get("latitude") if located else None,
        "longitude": event.get("longitude") if located else None,
        "location_consent": located,
        "visitor": salt
        and visitor_hash(
            salt, site, occurred_at // DAY_MS, event.get("cookie_id"), user_agent, address
        ),
    }
    return record


def _tame(user_agent: str | None) -> str | None:
    rule = _USER_AGENT
    cut = user_agent[: rule.most] if user_agent else None
    return None if cut is None or rule.problem(cut) else cut


_COPIED = (
    "type",
    "name",
    "page",
    "referrer",
    "search_terms",
    "status",
    "cookie_id",
    "session_id",
    "device_id",
    "consent_epoch",
    "ad_ids",
)


def key(record: Mapping[str, Any]) -> bytes | None:
    """Return the message key, ``site|cookie id``: one visitor's events stay in order.

    None without a cookie: such events have no order to keep.
    """
    cookie = record["cookie_id"]
    return f"{record['site']}|{cookie}".encode() if cookie else None
