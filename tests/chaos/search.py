"""What is written of people on disks and in logs, looked for in a process of its own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lethe.audit import search
from lethe.audit.needles import Needles
from tests.aside import read

ADDRESSES = (*(f"192.0.2.{each}" for each in range(1, 20)), "2001:db8:77:1::4d2", "198.51.100.77")
_COOKIES = re.compile(rb"cookie-[0-9]+-[0-9]+-[0-9]+")


class Seen(NamedTuple):
    """Where who was seen: file, how it was opened, and a word of theirs.

    ``keys`` are the ledger's files with one of the keys in them, ``living`` those with one that is
    there on purpose, ``logged`` the logs that name somebody, by name, each as often as that is.
    """

    people: Sequence[tuple[str, str, str]]
    keys: Sequence[str]
    living: Sequence[str]
    logged: Sequence[str]


def look(
    folders: Iterable[Path],
    mark: str,
    ledger: Iterable[Path],
    keys: Iterable[bytes],
    living: Iterable[bytes],
    logs: Path,
) -> Seen:
    """Look for everybody in ``folders``, whose words bear the ``mark``."""
    people: Any = _People(mark)
    hits = search(folders, people).hits
    kept = read(ledger)
    return Seen(
        [(path, how, people.words[number]) for path, how, number in sorted(hits)],
        _with(kept, keys),
        _with(kept, living),
        [
            path.name
            for path, content in read(logs.iterdir()).items()
            for _ in [*_COOKIES.findall(content), *people.found_in(content)]
        ],
    )


def _with(files: Mapping[Path, bytes], words: Iterable[bytes]) -> list[str]:
    return [path.name for path, content in files.items() for each in words if each in content]


class _People:
    """Finds addresses of visitors, and what people filled in, by the mark that each field bears."""

    def __init__(self, mark: str) -> None:
        self._addresses = Needles(ADDRESSES)
        self.words = list(self._addresses.addresses)
        self._numbers: dict[str, int] = {}
        self._pattern = re.compile(re.escape(mark.encode()) + rb"([0-9a-f]{8})")

    def found_in(self, data: bytes) -> set[int]:
        marks = {self._number(each.decode()) for each in self._pattern.findall(data)}
        return marks | self._addresses.found_in(data)

    def _number(self, word: str) -> int:
        if word not in self._numbers:
            self._numbers[word] = len(self.words)
            self.words.append(word)
        return self._numbers[word]
