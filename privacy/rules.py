"""What one field of an event may hold: checked at the gate, shown as JSON Schema in documents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

NO_CONTROLS = r"^[^\x00-\x1f\x7f\ud800-\udfff]*$"

_IDENTIFIER = r"^[A-Za-z0-9._:-]{1,128}$"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Rule(Protocol):
    """What one field may hold: ``schema`` for the documents, ``problem`` for the gate."""

    @property
    def doc(self) -> str:
        """What the field is for, for documents."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        ...

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A string without control characters, of at most ``most`` characters."""

    doc: str
    most: int
    pattern: str = NO_CONTROLS
    like: str = "must hold no control characters"

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        # Lone surrogates cannot occur in JSON that is UTF-8, and not every validator's
        # regular expressions know them.
        pattern = self.pattern.replace(r"\ud800-\udfff", "")
        return {"type": "string", "maxLength": self.most, "pattern": pattern}

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        if not isinstance(value, str):
            return "must be a string"
        if len(value) > self.most:
            return f"must have at most {self.most} characters"
        return None if re.fullmatch(self.pattern, value) else self.like


def identifier(doc: str, most: int = 128) -> Text:
    """Return the rule of an identifier, which is kept as it came: of 1 to ``most`` characters."""
    return Text(doc, most, _IDENTIFIER, "must be letters, digits, . _ : -")


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer from ``least`` to ``most``."""

    doc: str
    least: int
    most: int

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        if isinstance(value, bool) or not isinstance(value, int):
            return "must be an integer"
        if not self.least <= value <= self.most:
            return f"must be from {self.least} to {self.most}"
        return None


@dataclass(frozen=True, slots=True)
class Degrees:
    """A finite number from ``-most`` to ``most``."""

    doc: str
    most: int

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        return {"type": "number", "minimum": -self.most, "maximum": self.most}

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a number"
        return None if abs(value) <= self.most else f"must be from {-self.most} to {self.most}"


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    doc: str

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        return {"type": "boolean"}

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        return None if isinstance(value, bool) else "must be true or false"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    doc: str
    options: tuple[str, ...]

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        return {"type": "string", "enum": list(self.options)}

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        fits = isinstance(value, str) and value in self.options
        return None if fits else f"must be one of {', '.join(self.options)}"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time from ``earliest`` on: milliseconds since 1970 (UTC), or RFC 3339 with its offset."""

    doc: str
    earliest: int

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        return {
            "anyOf": [
                {"type": "integer", "minimum": self.earliest},
                {"type": "string", "format": "date-time"},
            ]
        }

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        moment = milliseconds(value)
        if moment is None:
            return "must be milliseconds since 1970 or a time like 2026-11-24T09:30:00Z"
        return "must not lie in the distant past" if moment < self.earliest else None


@dataclass(frozen=True, slots=True)
class Names:
    """An object of the given names, each an optional short text."""

    doc: str
    names: tuple[str, ...]
    rule: Text = field(default=Text("", 512, r"^[!-~]{1,512}$", "must be printable ASCII"))

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: self.rule.schema() for name in self.names},
        }

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        if not isinstance(value, Mapping):
            return "must be an object"
        if value.keys() - set(self.names):
            return f"may hold {', '.join(self.names)} only"
        for name in self.names:
            if name in value and (broken := self.rule.problem(value[name])):
                return f"{name} {broken}"
        return None


def milliseconds(value: object) -> int | None:
    """Read a time as milliseconds since 1970 (UTC); None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**53 else None
    if not isinstance(value, str) or not re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", value, re.ASCII
    ):
        return None
    try:
        return (datetime.fromisoformat(value) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None
