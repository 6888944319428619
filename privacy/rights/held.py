"""What is held of a person, as far as a plan must know: where, and no personal values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from privacy.consent import Decision
from privacy.lifecycle import CaseState
from privacy.policy import ListKind


@dataclass(frozen=True, slots=True)
class HeldCase:
    """A case of the person.

    ``list`` is the one that a subscription is to. ``further``: kept after its end on a separate
    consent. ``held``: by which restriction; ``claimed``: kept for a legal claim. ``fields`` are the
    names of the sealed ones.
    """

    case_id: str
    service: str
    state: CaseState
    legal_basis: str
    list: str | None
    list_kind: ListKind | None
    further: bool
    held: str | None
    claimed: bool
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class Held:
    """All that is held.

    ``consents`` are the visitor's decisions by purpose, ``providers`` those that something may have
    reached. ``restricted``: the visitor or the subject is under a restriction. ``visitor`` and
    ``subject`` say by what the person is known: a cookie, an address, or both.
    """

    cases: Sequence[HeldCase]
    consents: Mapping[str, Decision]
    providers: Sequence[str]
    profile: bool
    restricted: bool
    visitor: bool
    subject: bool
