"""Which words a language must have."""

from collections.abc import Mapping
from dataclasses import dataclass

from privacy.rights.copy import Store
from privacy.rights.plan import RefusalReason, Verdict
from privacy.rights.request import Right


@dataclass(frozen=True, slots=True)
class Letters:
    """Subjects and texts of letters; names in braces are put in.

    ``done`` tells by right what was done. ``complaint`` names no authority: the policy does.
    """

    greeting: str
    closing: str  # {controller}, {contact}
    confirm_subject: str  # {controller}
    confirm: str  # {right}, {controller}, {until}, {link}
    answered_subject: Mapping[Verdict, str]  # {controller}
    done: Mapping[Right, str]
    partly: str
    refused: str
    because: Mapping[RefusalReason, str]
    silent: str  # {who}
    keeping: str  # {who}
    file: str  # {link}, {until}
    extended_subject: str  # {controller}
    extended: str  # {right}, {deadline}, {because}
    lifting_subject: str  # {controller}
    lifting: str  # {at}
    complaint: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Headings:
    """Headings and sentences of the answer's page."""

    title: str
    made_at: str  # {at}
    data: str
    nothing: str
    stores: Mapping[Store, str]
    purposes: str
    legal_basis: str
    categories: str
    recipients: str
    transfers: str
    no_transfers: str
    kept_until: str
    rights: str
    your_rights: str
    complaint: str
    source: str
    sources: str
    automated: str
    controller: str
    officer: str


@dataclass(frozen=True, slots=True)
class Words:
    """All fixed words of one language, whose tag is ``language`` (BCP 47)."""

    language: str
    rights: Mapping[Right, str]
    letters: Letters
    headings: Headings
