"""Bad input from a seed: the same seed makes the same inputs."""

import io
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fastavro import schemaless_writer

from schemas.codec import header
from schemas.registry import Record, latest

CORPUS = Path(__file__).with_name("corpus")
DEEP = 10_000

TEXTS = (
    "", " ", "\0", "a\0b", "\r\n", "..", "../../etc/passwd", "%00", "%", "${jndi:ldap://x}",
    "' OR 1=1 --", "<script>", "\u202e", "\ufeff", "e\u0301", "\U0001f600", "\ud800", "\u0130",
    "\u00df" * 50, "a" * 300, "A" * 5_000, "null", "NaN", "-0", "1e999", "0x10", "\uff11\uff12",
    "-", "true", "{}", "[]", "=cmd|' /C calc'!A0", "192.0.2.1", "2001:db8::1", "::ffff:10.0.0.1",
    "1795424000000", "9999-12-31", "1970-01-01",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 99, 100, 599, 600, 2**31 - 1, -(2**31), 2**31, 2**53, 2**63 - 1, -(2**63),
    -62_135_596_800_000, -62_135_596_800_001, 253_402_300_799_999, 253_402_300_800_000,
    1_795_424_000_000, 86_400_000, -86_400_000,
)  # fmt: skip
NUMERALS = (
    b"1" + b"0" * 400, b"9" * 12, b"9" * 5_000, b"1e999", b"-5", b"-0", b"Infinity", b"NaN",
    b"0.1", b"1e-9", b"\xd9\xa3",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0.5, -1, 10**30, float("nan"), float("inf"), [], {}, [None], {"": None},
    [[]], "x",
)  # fmt: skip


class Inputs:
    """What one seed makes."""

    def __init__(self, seed: object) -> None:
        self.chance = random.Random(f"{seed}")

    def text(self) -> str:
        """Return some text; it may hold a lone surrogate."""
        pieces = [self.chance.choice(TEXTS) for _ in range(self.chance.choice((1, 1, 1, 2, 3)))]
        return "".join(pieces)

    def spoiled(self, good: bytes) -> bytes:
        """Return bytes that are a little, or a lot, different from good ones."""
        data = good
        for _ in range(self.chance.choice((1, 1, 2, 5))):
            data = self._spoiled(data)
        return data

    def _spoiled(self, data: bytes) -> bytes:
        chance = self.chance
        at, many = chance.randrange(len(data) + 1), chance.randrange(1, 9)
        before, behind = data[:at], data[at:]
        ways: Sequence[Callable[[], bytes]] = (
            lambda: before,
            lambda: before + behind[many:],
            lambda: before + chance.randbytes(many) + behind,
            lambda: before + self.text().encode("utf-8", "surrogatepass") + behind,
            lambda: before + chance.randbytes(1) + behind[1:],
            lambda: before + b"\xff\xfe\xc0\x80" + behind,
            lambda: before + data[: many * 5] + behind,
            lambda: data + chance.randbytes(many * 4),
            lambda: before + bytes(each ^ 1 << many % 8 for each in behind[:1]) + behind[1:],
        )
        return chance.choice(ways)()

    def numbered(self, good: bytes) -> bytes:
        """Return bytes of which one number is another, or none."""
        places = list(re.finditer(rb"[0-9]+", good))
        if not places:
            return good
        at = self.chance.choice(places)
        return good[: at.start()] + self.chance.choice(NUMERALS) + good[at.end() :]

    def junk(self) -> bytes:
        """Return bytes that were never good."""
        chance = self.chance
        ways: Sequence[Callable[[], bytes]] = (
            lambda: b"",
            lambda: chance.randbytes(chance.choice((1, 4, 5, 6, 50, 3_000))),
            lambda: self.text().encode("utf-8", "surrogatepass"),
            lambda: b"[" * DEEP,
            lambda: b'{"a":' * DEEP + b"1" + b"}" * DEEP,
            lambda: b"\0" * chance.choice((1, 5, 1_000)),
            lambda: b"\xff" * chance.choice((1, 5, 1_000)),
            lambda: b"9" * 5_000,
            lambda: b'"' + b"\\" * 999,
            lambda: b"\x1f\x8b\x08\0" + chance.randbytes(20),
        )
        return chance.choice(ways)()

    def json(self, good: Any) -> bytes:
        """Return JSON like ``good`` with something of it changed, left out, added or repeated."""
        chance = self.chance
        content = json.loads(json.dumps(good))
        at = content
        while isinstance(at, dict) and at and chance.random() < 0.6:
            inner = chance.choice(list(at.values()))
            if not isinstance(inner, dict):
                break
            at = inner
        name = chance.choice([*at, "strange"]) if isinstance(at, dict) else ""
        roll = chance.randrange(6)
        if roll == 0 and isinstance(at, dict):
            at.pop(name, None)
        elif roll == 1:
            content = chance.choice(VALUES)
        elif roll == 2 and isinstance(at, dict):
            at[name] = self.text()
        elif roll == 3 and isinstance(at, dict):
            at[name] = chance.choice(NUMBERS)
        elif roll == 4 and isinstance(at, dict):
            at[self.text()] = self.text()
        elif isinstance(at, dict):
            at[name] = chance.choice(VALUES)
        text = json.dumps(content, ensure_ascii=chance.random() < 0.8)
        if chance.random() < 0.1:
            text = text.replace("{", '{"type": 1, "type": 2, ', 1)
        return text.encode("utf-8", "surrogatepass")

    def wire(self, name: str, good: Sequence[bytes]) -> bytes:
        """Return a framed record that is spoiled in one of the ways there are."""
        chance, value = self.chance, self.chance.choice(good)
        ways: Sequence[Callable[[], bytes]] = (
            lambda: self.junk()[:100_000],
            lambda: b"",
            lambda: value[: chance.randrange(len(value))],
            lambda: chance.randbytes(1) + value[1:],
            lambda: value[:1] + chance.choice((0, 999, 2**31)).to_bytes(4, "big") + value[5:],
            lambda: header(latest("dead_letter" if name != "dead_letter" else "hold")) + value[5:],
            lambda: value + chance.randbytes(chance.randrange(1, 9)),
            lambda: self.spoiled(value),
            lambda: value[:5] + self.spoiled(value[5:]),
            lambda: value[:5] + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + value[5:],
            lambda: value[:5] + b"\x80" * 20,
            lambda: self.odd(name),
        )
        return chance.choice(ways)()

    def odd(self, name: str) -> bytes:
        """Return a record that its schema admits, of values that nobody means."""
        return self.framed(latest(name), {})

    def framed(self, record: Record, given: dict[str, Any]) -> bytes:
        """Return ``record`` with odd values, but for the fields that are given."""
        out = io.BytesIO()
        value = {each["name"]: given.get(each["name"], _LEFT) for each in record.parsed["fields"]}
        for each in record.parsed["fields"]:
            if value[each["name"]] is _LEFT:
                value[each["name"]] = self._of(each["type"])
        schemaless_writer(out, record.parsed, value)
        return header(record) + out.getvalue()

    def _of(self, schema: Any) -> Any:
        chance = self.chance
        if isinstance(schema, list):
            return self._of(chance.choice(schema))
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind == "record":
            return {each["name"]: self._of(each["type"]) for each in schema["fields"]}
        if kind == "array":
            return [self._of(schema["items"]) for _ in range(chance.randrange(3))]
        if kind == "map":
            return {self._plain(): self._of(schema["values"]) for _ in range(chance.randrange(3))}
        if kind == "enum":
            return chance.choice(schema["symbols"])
        simple: dict[str, Callable[[], Any]] = {
            "null": lambda: None,
            "boolean": lambda: chance.random() < 0.5,
            "int": lambda: max(-(2**31), min(2**31 - 1, chance.choice(NUMBERS))),
            "long": lambda: chance.choice(NUMBERS),
            "float": lambda: chance.choice((0.0, -1.5, 1e30)),
            "double": lambda: chance.choice(
                (0.0, -90.0, 180.5, 1e300, float("nan"), float("-inf"))
            ),
            "bytes": lambda: chance.randbytes(chance.choice((0, 1, 28, 60))),
            "string": self._plain,
        }
        return simple[kind]()

    def _plain(self) -> str:
        """Return text that UTF-8 can hold."""
        return self.text().encode("utf-8", "replace").decode()


_LEFT: Any = object()


def corpus(parser: str) -> Iterator[bytes]:
    """Yield what is kept for a parser: good examples, and what once broke it."""
    folder = CORPUS / parser
    if folder.is_dir():
        for file in sorted(folder.iterdir()):
            yield file.read_bytes()
