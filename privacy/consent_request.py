"""What a consent request may hold, and the change it becomes (S15, S23).

Collector and SDK share this module. No decision is refused for the sender's clock: its time is
kept as proof and orders nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from privacy.consent import RESERVED, Decision
from privacy.contract import Contract, Problem
from privacy.rules import Choice, Moment, Rule, Text, identifier, milliseconds
from privacy.tracking import FIELDS as EVENT_FIELDS

LATEST_MS = 253_402_300_799_999  # the end of the year 9999: what a date can hold

Signal = Literal["gpc", "dnt"]
SIGNALS: tuple[Signal, ...] = ("gpc", "dnt")

FIELDS: Mapping[str, Rule] = {
    "change_id": EVENT_FIELDS["event_id"],
    "cookie_id": EVENT_FIELDS["cookie_id"],
    "purpose": Text(
        "A purpose of the privacy policy, by its name.",
        40,
        r"^[a-z][a-z0-9-]*$",
        "must be lower-case letters, digits and -, a letter first",
    ),
    "decision": Choice("What the visitor decided.", tuple(map(str, Decision))),
    "notice_id": identifier("Which notice the visitor saw.", 64),
    "notice_version": identifier("Which version of it.", 64),
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
CONTRACT = Contract(
    "change",
    "consent changes",
    FIELDS,
    required=("cookie_id", "purpose", "decision", "notice_id", "notice_version"),
)


def problems(change: object, purposes: Collection[str] | None = None) -> Sequence[Problem]:
    """Return every rule ``change`` breaks; empty when it may be recorded.

    ``purposes`` are the policy's; None where the policy is not at hand.
    """
    contract = CONTRACT if purposes is None else _of(purposes)
    found = list(contract.problems(change))
    if isinstance(change, Mapping):
        found += _contradictions(change)
    return found


def _of(purposes: Collection[str]) -> Contract:
    purpose = Choice(FIELDS["purpose"].doc, tuple(purposes))
    return replace(CONTRACT, fields={**FIELDS, "purpose": purpose})


def _contradictions(change: Mapping[str, Any]) -> Iterator[Problem]:
    if (milliseconds(change.get("occurred_at")) or 0) > LATEST_MS:
        yield Problem("occurred_at", "must not lie beyond the year 9999")
    if change.get("purpose") in tuple(RESERVED):
        yield Problem("purpose", "is a right of the person, not a purpose: send a request")
    if change.get("how") in SIGNALS and change.get("decision") == Decision.GIVEN:
        yield Problem("how", "is a browser's refusal: it gives nothing")


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
