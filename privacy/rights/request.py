"""What a person may ask, and what the body of ``POST /v1/requests`` may hold (S17 to S24)."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from privacy.contract import Contract, Problem
from privacy.form_rules import rule
from privacy.forms import IDEMPOTENCY_KEY, clean
from privacy.policy import FieldKind, FormField, Policy
from privacy.rules import Choice, Rule
from privacy.tracking import FIELDS as EVENT_FIELDS

INTERESTS: Final = "interests"
"""The correction of a profile: interests by their names, with commas, that replace all."""

LANGUAGES: Final = ("en", "nl", "fr", "de")


class Right(StrEnum):
    """What may be asked, by the articles of the GDPR."""

    ACCESS = "access"  # Art. 15
    RECTIFICATION = "rectification"  # Art. 16
    ERASURE = "erasure"  # Art. 17
    RESTRICTION = "restriction"  # Art. 18
    LIFTING = "lifting"  # of a restriction, Art. 18(3)
    PORTABILITY = "portability"  # Art. 20
    OBJECTION = "objection"  # Art. 21
    WITHDRAWAL = "withdrawal"  # of consent, Art. 7(3)


class Ground(StrEnum):
    """Why something is asked, where the law wants a reason."""

    # Art. 17(1)(a) to (f)
    NO_LONGER_NEEDED = "no_longer_needed"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    OBJECTED = "objected"
    UNLAWFUL = "unlawful"
    LEGAL_OBLIGATION = "legal_obligation"
    CHILD = "child"
    # Art. 18(1)(a) to (d)
    ACCURACY_CONTESTED = "accuracy_contested"
    UNLAWFUL_BUT_KEPT = "unlawful_but_kept"
    NEEDED_FOR_CLAIM = "needed_for_claim"
    OBJECTION_PENDING = "objection_pending"
    # Art. 21(1), (1) about profiling, (2)
    LEGITIMATE_INTEREST = "legitimate_interest"
    PROFILING = "profiling"
    DIRECT_MARKETING = "direct_marketing"


GROUNDS: Mapping[Right, tuple[Ground, ...]] = {
    Right.ERASURE: (
        Ground.NO_LONGER_NEEDED,
        Ground.CONSENT_WITHDRAWN,
        Ground.OBJECTED,
        Ground.UNLAWFUL,
        Ground.LEGAL_OBLIGATION,
        Ground.CHILD,
    ),
    Right.RESTRICTION: (
        Ground.ACCURACY_CONTESTED,
        Ground.UNLAWFUL_BUT_KEPT,
        Ground.NEEDED_FOR_CLAIM,
        Ground.OBJECTION_PENDING,
    ),
    Right.OBJECTION: (
        Ground.LEGITIMATE_INTEREST,
        Ground.PROFILING,
        Ground.DIRECT_MARKETING,
    ),
}
"""Rights that need a ground, and which. The others take none."""

# Fields that are for some rights only.
_ONLY_FOR: Mapping[str, tuple[Right, ...]] = {
    "ground": tuple(GROUNDS),
    "service": (Right.RECTIFICATION, Right.WITHDRAWAL, Right.PORTABILITY),
    "purposes": (Right.WITHDRAWAL,),
    "corrections": (Right.RECTIFICATION,),
    "statement": (Right.RECTIFICATION,),
    "transfer_to": (Right.PORTABILITY,),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks, opened.

    ``site`` and ``cookie_id`` are both there or neither. ``service`` limits a rectification, a
    withdrawal of further processing or a portability to one. ``purposes``: whose consents are
    withdrawn; empty: all. ``corrections`` are values by field; ``transfer_to`` the controller that
    is sent a portable copy. ``answer`` is the token that the answer is fetched with.
    """

    right: Right
    ground: Ground | None
    email: str | None = field(repr=False)
    site: str | None
    cookie_id: str | None = field(repr=False)
    language: str
    service: str | None
    purposes: tuple[str, ...]
    corrections: Mapping[str, str] = field(repr=False)
    statement: str | None = field(repr=False)
    transfer_to: str | None
    answer: str = field(repr=False)


def erasure(
    ground: Ground,
    answer: str,
    language: str,
    *,
    email: str | None = None,
    site: str | None = None,
    cookie_id: str | None = None,
) -> Asked:
    """Return what asks for everything about somebody to be erased; ``answer`` is its token."""
    return Asked(
        right=Right.ERASURE,
        ground=ground,
        email=email,
        site=site,
        cookie_id=cookie_id,
        language=language,
        service=None,
        purposes=(),
        corrections={},
        statement=None,
        transfer_to=None,
        answer=answer,
    )


@dataclass(frozen=True, slots=True)
class Some:
    """A list of some of a few words, each once."""

    doc: str
    options: tuple[str, ...]

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        items = {"type": "string", "enum": list(self.options)}
        return {"type": "array", "items": items, "uniqueItems": True, "minItems": 1}

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        if not isinstance(value, list) or not value:
            return "must be a list of at least one"
        if any(not isinstance(each, str) or each not in self.options for each in value):
            return f"may list {', '.join(self.options)} only"
        return None if len(set(value)) == len(value) else "must list each once"


@dataclass(frozen=True, slots=True)
class Corrections:
    """New values by field, each as ``value`` has it. What the fields mean is checked later."""

    doc: str
    names: Collection[str]
    value: Rule

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        return {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {name: self.value.schema() for name in self.names},
        }

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        if not isinstance(value, Mapping) or not value:
            return "must be an object of at least one field"
        if value.keys() - set(self.names):
            return "names a field that no service has"
        for name in self.names:
            if name in value and (broken := self.value.problem(value[name])):
                return f"{name} {broken}"
        return None


def contract(policy: Policy) -> Contract:
    """Return what the body of a request may hold under ``policy``."""
    fields = {name: None for each in policy.services.values() for name in each.fields}
    if policy.profiles is not None:
        fields[INTERESTS] = None
    controllers = () if policy.rights is None else tuple(policy.rights.controllers)
    rules: dict[str, Rule] = {
        "right": Choice("Which right.", tuple(map(str, Right))),
        "ground": Choice("Why, for erasure, restriction and objection.", tuple(map(str, Ground))),
        "email": rule(FormField(title="Whose cases it is about.", kind=FieldKind.EMAIL)),
        "cookie_id": EVENT_FIELDS["cookie_id"],
        "language": Choice("Of the letters and the answer; default: en.", LANGUAGES),
        "service": Choice("Only this service.", tuple(policy.services)),
        "purposes": Some("Which consents to withdraw; default: all.", tuple(policy.purposes)),
        "corrections": Corrections("New values by field.", tuple(fields), _text("A new value.")),
        "statement": _text("What completes the data, in words (Art. 16)."),
        "transfer_to": Choice("Who is sent the portable copy.", controllers),
        "idempotency_key": IDEMPOTENCY_KEY,
    }
    return Contract("request", "requests", rules, ("right",))


def problems(policy: Policy, body: object) -> Iterator[Problem]:
    """Yield every rule that the body of a request breaks, by field and never by value."""
    tidy = _tidy(body)
    broken = list(contract(policy).problems(tidy))
    yield from broken
    if not broken:
        yield from _contradictions(tidy)


def enter(body: Mapping[str, Any], *, site: str, answer: str) -> Asked:
    """Turn a checked body, which came in at ``site``, into what is asked."""
    tidy = _tidy(body)
    ground, cookie_id = tidy.get("ground"), tidy.get("cookie_id")
    return Asked(
        right=Right(tidy["right"]),
        ground=None if ground is None else Ground(ground),
        email=tidy.get("email"),
        site=None if cookie_id is None else site,
        cookie_id=cookie_id,
        language=tidy.get("language") or LANGUAGES[0],
        service=tidy.get("service"),
        purposes=tuple(tidy.get("purposes") or ()),
        corrections=tidy.get("corrections") or {},
        statement=tidy.get("statement"),
        transfer_to=tidy.get("transfer_to"),
        answer=answer,
    )


def to_json(asked: Asked) -> str:
    """Return what ``from_json`` reads."""
    return json.dumps(asdict(asked), ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Asked:
    """Read what ``to_json`` wrote. Raise ValueError."""
    try:
        read = json.loads(text)
        read["right"] = Right(read["right"])
        read["ground"] = None if read["ground"] is None else Ground(read["ground"])
        read["purposes"] = tuple(read["purposes"])
        return Asked(**read)
    except (KeyError, TypeError, ValueError):
        raise ValueError("not what a request asks") from None


def _text(title: str) -> Rule:
    return rule(FormField(title=title, kind=FieldKind.LONG_TEXT))


def _tidy(body: Any) -> Any:
    if not isinstance(body, Mapping):
        return body
    tidy = {**body, **{name: clean(body[name]) for name in ("email", "statement") if name in body}}
    corrections = body.get("corrections")
    if isinstance(corrections, Mapping):
        tidy["corrections"] = {name: clean(each) for name, each in corrections.items()}
    return tidy


def _contradictions(body: Mapping[str, Any]) -> Iterator[Problem]:
    there = {name for name, value in body.items() if value is not None}
    right = Right(body["right"])
    for name, rights in _ONLY_FOR.items():
        if name in there and right not in rights:
            yield Problem(name, f"is for {', '.join(rights)} only")
    if right in GROUNDS:
        grounds = Choice("", GROUNDS[right])
        if "ground" not in there:
            yield Problem("ground", f"is missing; it {grounds.problem(None)}")
        elif broken := grounds.problem(body["ground"]):
            yield Problem("ground", broken)
    if not there & {"email", "cookie_id"}:
        yield Problem("email", "is missing, and so is cookie_id; give one of them, or both")
    if right == Right.RECTIFICATION:
        yield from _corrections(body, there)
    if "purposes" in there and "cookie_id" not in there:
        yield Problem("cookie_id", "is missing; consents to purposes are a visitor's")
    if "service" in there and "email" not in there:
        yield Problem("email", "is missing; what a service holds is found by it")


def _corrections(body: Mapping[str, Any], there: Collection[str]) -> Iterator[Problem]:
    if "corrections" not in there and "statement" not in there:
        yield Problem("corrections", "is missing, and so is statement; give one of them, or both")
    named = set(body.get("corrections") or ())
    if INTERESTS in named and "cookie_id" not in there:
        yield Problem("cookie_id", "is missing; interests are a visitor's")
    if (named - {INTERESTS} or "statement" in there) and "email" not in there:
        yield Problem("email", "is missing; the cases to correct are found by it")
