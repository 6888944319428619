"""What a rectification makes of the fields of one case (S19; Art. 16 GDPR)."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from privacy.form_rules import rule
from privacy.policy import FieldKind, FormField, Service
from privacy.rights.request import Asked

STATEMENT: Final = "statement"
"""The field with what the person adds; a later statement takes its place."""

_TYPED = frozenset({FieldKind.BOOLEAN, FieldKind.NUMBER})


@dataclass(frozen=True, slots=True)
class Corrected:
    """New values by field, the statement among them, and which fields the form refuses."""

    values: Mapping[str, str] = field(repr=False)
    refused: tuple[str, ...]


def corrected(service: Service, filled: Collection[str], asked: Asked) -> Corrected:
    """Return what of a rectification is about a case, which has the personal fields ``filled``.

    A value is held against the form's own rules, and kept as an entering form would be.
    """
    form = service.fields
    about = {
        name: value
        for name, value in asked.corrections.items()
        if name in form and name in correctable(service, filled, asked)
    }
    read = {name: _read(form[name], value) for name, value in about.items()}
    values = {name: value for name, value in read.items() if value is not None}
    if asked.statement is not None:
        values[STATEMENT] = asked.statement
    return Corrected(values, tuple(sorted(name for name in about if name not in values)))


def correctable(service: Service, filled: Collection[str], asked: Asked) -> frozenset[str]:
    """Return the fields of a case that may get a value.

    What was left empty is completed where the person names the service: a new name is not put
    wherever there is room for one.
    """
    if asked.service is None:
        return frozenset(filled)
    return frozenset({*filled, *(name for name, each in service.fields.items() if each.personal)})


def _read(of: FormField, value: str) -> str | None:
    """Return a value as a case has it; None: the form would refuse it."""
    typed: object = value
    if of.kind in _TYPED:
        try:
            typed = json.loads(value)
        except ValueError:
            return None
    if rule(of).problem(typed) is not None:
        return None
    return json.dumps(typed) if of.kind in _TYPED else value
