"""What a message may hold, field by field: one contract for the gate and for the documents."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from privacy.rules import Rule

_TAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class Problem:
    """Which field broke which rule. Never the value."""

    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class Contract:
    """The fields of one kind of message, called ``one`` or ``many`` where it is spoken of.

    ``refused`` says, by a regular expression for names, why such a field may never be there.
    """

    one: str
    many: str
    fields: Mapping[str, Rule]
    required: Collection[str]
    refused: Mapping[str, str] = field(default_factory=dict)

    def schema(self) -> dict[str, Any]:
        """Return the contract as JSON Schema, for documents and clients."""
        properties = {
            name: {**self._nullable(name, rule.schema()), "description": rule.doc}
            for name, rule in self.fields.items()
        }
        return {
            "type": "object",
            "additionalProperties": False,
            "required": list(self.required),
            "properties": properties,
        }

    def problems(self, message: object) -> Iterator[Problem]:
        """Yield what of ``message`` breaks the contract, in the contract's order."""
        if not isinstance(message, Mapping):
            yield Problem(self.one, "must be an object")
            return
        for name, rule in self.fields.items():
            value = message.get(name)
            if value is None:
                if name in self.required:
                    yield Problem(name, "is missing")
            elif broken := rule.problem(value):
                yield Problem(name, broken)
        for name in message:
            if name not in self.fields:
                yield self._stranger(name)

    def _nullable(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        return schema if name in self.required else {"anyOf": [schema, {"type": "null"}]}

    def _stranger(self, name: object) -> Problem:
        """Refuse a field by its name; that may be anything, so it is shown only if tame."""
        if not isinstance(name, str) or not _TAME.fullmatch(name):
            return Problem("(a field)", f"is not a field of {self.many}")
        for names, why in self.refused.items():
            if re.fullmatch(names, name):
                return Problem(name, f"is refused: {why}")
        return Problem(name, f"is not a field of {self.many}; those are {', '.join(self.fields)}")
