"""What the sections of a policy are made of: strict values, and what is said of broken ones."""

import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def text(pattern: str, rule: str) -> AfterValidator:
    """Refuse with ``rule`` a text that is not wholly ``pattern``."""
    whole = re.compile(pattern, re.DOTALL)

    def check(value: str) -> str:
        if not whole.fullmatch(value):
            raise ValueError(rule)
        return value

    return AfterValidator(check)


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("lists something twice; once is enough")
    return values


once = AfterValidator(_once)


Text = Annotated[str, text(r".*\S.*", "is empty; write something")]
Name = Annotated[
    str,
    text(
        r"[a-z][a-z0-9-]{0,39}",
        "is not a name; use lower-case letters, digits and -, a letter first, 40 at most",
    ),
]
LegalBasis = Annotated[
    str,
    text(
        r".*\b6\(1\)\([a-f]\).*",
        "names no legal basis; write one of Art. 6(1)(a) GDPR to Art. 6(1)(f) GDPR",
    ),
]
Texts = Annotated[tuple[Text, ...], Field(min_length=1), once]
Names = Annotated[tuple[Name, ...], Field(min_length=1), once]
"""One at least, and each once."""


class Part(BaseModel):
    """A section of the policy: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Broken(NamedTuple):
    """A rule that is broken, and what leads to where: keys, or places in lists, outermost first."""

    path: tuple[str | int, ...]
    rule: str


class BrokenRulesError(ValueError):
    """Parts of the policy that contradict each other."""

    def __init__(self, broken: Sequence[Broken]) -> None:
        told = (f"{'.'.join(map(str, path))}: {rule}" for path, rule in broken)
        super().__init__("\n".join(told))
        self.broken = broken
