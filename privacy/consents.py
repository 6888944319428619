"""What a consent request may hold, and the change it becomes (S15, S23).

Collector and SDK share this module. No decision is refused for the sender's clock: its time is
kept as proof and orders nothing.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from privacy.consent import Decision
from privacy.rules import Choice, Moment, Rule, Text, milliseconds
from privacy.tracking import FIELDS as EVENT_FIELDS
from privacy.tracking import IDENTIFIER, UUID, Problem

LATEST_MS = 253_402_300_799_999  # the end of the year 9999: what a date can hold

Signal = Literal["gpc", "dnt"]
SIGNALS: tuple[Signal, ...] = ("gpc", "dnt")

_IDENTIFIER = "must be letters, digits, . _ : -"

FIELDS: Mapping[str, Rule] = {
    "change_id": Text(
        "A UUID made by the sender; a retry carries the same one.",
        36,
        UUID,
        "must be a UUID in lower case",
    ),
    "cookie_id": EVENT_FIELDS["cookie_id"],
    "purpose": Text(
        "A purpose of the privacy policy, by its name.",
        40,
        r"^[a-z][a-z0-9-]*$",
        "must be lower-case letters, digits and -, a letter first",
    ),
    "decision": Choice("What the visitor decided.", tuple(map(str, Decision))),
    "notice_id": Text("Which notice the visitor saw.", 64, IDENTIFIER, _IDENTIFIER),
    "notice_version": Text("Which version of it.", 64, IDENTIFIER, _IDENTIFIER),
    "language": Text(
        "Language of the notice, BCP 47.",
        35,
        r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        "must be a language tag like nl-BE",
    ),
    "how": Choice(
        "How the visitor said it; default: api.",
        ("banner", "settings", *SIGNALS, "api", "import"),
    ),
    "occurred_at": Moment("When it was decided, by the sender's clock: proof only.", 0),
}
REQUIRED = ("cookie_id", "purpose", "decision", "notice_id", "notice_version")


def json_schema() -> dict[str, Any]:
    """Return the contract of one change as JSON Schema, for documents and clients."""
    properties = {name: {**rule.schema(), "description": rule.doc} for name, rule in FIELDS.items()}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(REQUIRED),
        "properties": {
            name: schema if name in REQUIRED else {"anyOf": [schema, {"type": "null"}]}
            for name, schema in properties.items()
        },
    }


def problems(change: object, purposes: Collection[str] | None = None) -> Sequence[Problem]:
    """Return every rule ``change`` breaks; empty when it may be recorded.

    ``purposes`` are the policy's; None where the policy is not at hand.
    """
    if not isinstance(change, Mapping):
        return [Problem("change", "must be an object")]
    return list(_problems(change, purposes))


def _problems(change: Mapping[str, Any], purposes: Collection[str] | None) -> Iterator[Problem]:
    for name in REQUIRED:
        if change.get(name) is None:
            yield Problem(name, "is missing")
    for name, value in change.items():
        if name not in FIELDS:
            yield _stranger(name)
        elif value is not None and (broken := FIELDS[name].problem(value)):
            yield Problem(name, broken)
        elif name == "purpose" and purposes is not None and value not in {None, *purposes}:
            yield Problem(name, f"is not in the policy; its purposes are {', '.join(purposes)}")
    if (milliseconds(change.get("occurred_at")) or 0) > LATEST_MS:
        yield Problem("occurred_at", "must not lie beyond the year 9999")
    if change.get("how") in SIGNALS and change.get("decision") == Decision.GIVEN:
        yield Problem("how", "is a browser's refusal: it gives nothing")


def _stranger(name: object) -> Problem:
    """Refuse a field by its name, shown only if tame."""
    tame = isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,31}", name)
    rule = f"is not a field of consent changes; those are {', '.join(FIELDS)}"
    return Problem(str(name) if tame else "(a field)", rule)


def heed(
    change: Mapping[str, Any], signal: Signal | None, ads: Collection[str]
) -> Mapping[str, Any]:
    """Return ``change`` as the browser's signal leaves it: a yes to a purpose of ``ads`` is a no.

    The notice stays: it is what the visitor was shown when the signal spoke for them.
    """
    if signal and change["purpose"] in ads and change["decision"] == Decision.GIVEN:
        return {**change, "decision": Decision.REFUSED.value, "how": signal}
    return change


def enter(
    change: Mapping[str, Any], *, site: str, received_at: int, change_id: str
) -> dict[str, Any]:
    """Turn a checked change into a ``consent_change`` record that may be published.

    Its key is ``privacy.tracking.key``: a visitor's changes and events share a partition number.
    ``received_at`` in milliseconds since 1970; ``change_id`` for a change that brings none.
    """
    occurred_at = milliseconds(change.get("occurred_at"))
    return {
        **{name: change.get(name) for name in FIELDS},
        "change_id": change.get("change_id") or change_id,
        "site": site,
        "how": change.get("how") or "api",
        "occurred_at": received_at if occurred_at is None else occurred_at,
        "received_at": received_at,
    }
