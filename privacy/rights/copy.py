"""A copy of all that is held of a person, as rows by store (Art. 15(3) GDPR; S18)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Cell = str | int | float | None
Row = Mapping[str, Cell]
"""Values by column. Times are RFC 3339, UTC."""


class Store(StrEnum):
    """Where something may be held, in the order in which it is shown."""

    CASES = "cases"
    FIELDS = "fields"
    LISTS = "lists"
    OPT_OUTS = "opt_outs"
    CONSENTS = "consents"
    CONSENT_CHANGES = "consent_changes"
    PROFILE = "profile"
    PROVIDERS = "providers"
    EVENTS = "events"
    HOLDERS = "holders"
    KEY_USES = "key_uses"
    REQUESTS = "requests"
    HOLDS = "holds"
    SUPPRESSED = "suppressed"
    DELETIONS = "deletions"


@dataclass(frozen=True, slots=True)
class Copy:
    """What each store holds. ``services`` are those of its cases, ``lists`` those the person is on.

    ``visitor``: it is of a visitor as well.
    """

    rows: Mapping[Store, Sequence[Row]] = field(repr=False)
    services: frozenset[str]
    lists: frozenset[str]
    visitor: bool
