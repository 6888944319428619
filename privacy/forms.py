"""What a form may hold, by the service it is for, and what becomes of it where it enters (S1).

A field that the policy does not name is refused, and so is a form that lacks a mandatory one, by
name and never by value. Text is kept in Unicode's composed form, without spaces around it; what is
empty then was not filled in.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from privacy.consent_request import FIELDS as CONSENT_FIELDS
from privacy.contract import Contract, Problem
from privacy.form_rules import rule
from privacy.policy import Group, Service
from privacy.rules import Rule, Text, identifier

NO_FILES = "forms take no files"  # for a request that is not JSON as well

_REFUSED = {r"(?i)(attachment|file|upload)\w*": NO_FILES}


@dataclass(frozen=True, slots=True)
class Nested:
    """An object with a contract of its own, which ``problems`` holds it against."""

    doc: str
    contract: Contract

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        return self.contract.schema()

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        return None if isinstance(value, Mapping) else "must be an object"


@dataclass(frozen=True, slots=True)
class Form:
    """A form that may become a case: ``personal`` fields are to be sealed, ``settings`` are not.

    ``email`` is the person's address, if the form asks for it; ``further`` the notice on which
    further processing was consented to (S7).
    """

    personal: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, str] = field(repr=False)
    email: str | None = field(repr=False)
    group: str | None
    language: str | None
    idempotency_key: str | None
    further: Mapping[str, str] | None


IDEMPOTENCY_KEY: Final = Text(
    "Made by the sender; a retry carries the same one.",
    64,
    r"^[A-Za-z0-9_-]{8,64}$",
    "must be 8 to 64 letters, digits, _ or -",
)


def contract(service: Service) -> Contract:
    """Return what the body of a request with a form of ``service`` may hold."""
    rules: dict[str, Rule] = {
        "fields": Nested(
            "What was filled in.",
            Contract(
                "fields",
                "this form",
                {name: rule(each) for name, each in service.fields.items()},
                [name for name, each in service.fields.items() if each.mandatory],
                _REFUSED,
            ),
        ),
        "language": CONSENT_FIELDS["language"],
        "idempotency_key": IDEMPOTENCY_KEY,
    }
    required = ["fields"]
    if service.group != Group.NONE:
        rules["group"] = identifier("Which contest, event, survey or vacancy it is about.")
    if service.group == Group.REQUIRED:
        required.append("group")
    if service.further_processing is not None:
        notice = {name: CONSENT_FIELDS[name] for name in ("notice_id", "notice_version")}
        rules["further_processing"] = Nested(
            f"A consent that may be left out, to: {service.further_processing}",
            Contract("further_processing", "further_processing", notice, tuple(notice)),
        )
    return Contract("form", "forms of this service", rules, required, _REFUSED)


def problems(service: Service, body: object) -> Sequence[Problem]:
    """Return every rule that the body of a request breaks; empty when it may enter."""
    return list(_problems(contract(service), _tidy(body)))


def _problems(form: Contract, body: Any) -> Iterator[Problem]:
    yield from form.problems(body)
    for name, part in form.fields.items():
        if isinstance(part, Nested) and isinstance(body, Mapping):
            inner = body.get(name)
            if isinstance(inner, Mapping):
                yield from part.contract.problems(inner)


def enter(service: Service, body: Mapping[str, Any]) -> Form:
    """Turn a checked body into a form. What was not filled in is not in it."""
    tidy = _tidy(body)
    filled = {name: _text(each) for name, each in tidy["fields"].items() if each is not None}
    personal = {name: each for name, each in filled.items() if service.fields[name].personal}
    return Form(
        personal=personal,
        settings={name: each for name, each in filled.items() if name not in personal},
        email=None if service.email is None else filled.get(service.email),
        group=tidy.get("group"),
        language=tidy.get("language"),
        idempotency_key=tidy.get("idempotency_key"),
        further=tidy.get("further_processing"),
    )


def _tidy(body: Any) -> Any:
    if not isinstance(body, Mapping) or not isinstance(body.get("fields"), Mapping):
        return body
    return {**body, "fields": {name: clean(each) for name, each in body["fields"].items()}}


def clean(value: object) -> object:
    """Return a text in composed form, without spaces around it; None when it is empty then."""
    if not isinstance(value, str):
        return value
    return unicodedata.normalize("NFC", value.replace("\r\n", "\n")).strip() or None


def _text(value: object) -> str:
    """Return what was filled in as text: numbers and yes or no as JSON writes them."""
    return value if isinstance(value, str) else json.dumps(value)
