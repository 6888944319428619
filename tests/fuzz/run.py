"""Try parsers in this process, and say what broke them so that it can be repeated."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fuzz.inputs import Inputs
from tests.fuzz.parsers import PARSERS


@dataclass(frozen=True)
class Broken:
    """An input that a parser did neither read nor refuse."""

    parser: str
    seed: object
    number: int
    made: Any
    error: Exception

    def __str__(self) -> str:
        return (
            f"{self.parser}: {type(self.error).__name__}: {self.error} "
            f"at input {self.number} of seed {self.seed}: {self.made!r:.300}"
        )


def try_parser(name: str, count: int, seed: object) -> Iterator[Broken]:
    """Yield what broke a parser, of ``count`` inputs."""
    parser, inputs = PARSERS[name], Inputs(f"{seed}|{name}")
    for number in range(count):
        made = parser.make(inputs)
        try:
            parser.call(made)
        except parser.refusals:
            pass
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            yield Broken(name, seed, number, made, error)
