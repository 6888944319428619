"""Keep reading a log while it grows and is rotated, like ``tail -F`` (S8).

A log's generations (``access.log``, ``access.log.1``, ``access.log-20261123.gz``) are told apart
by the time of their first request, not by name or inode, which rotation changes or reuses:

    renamed, a new one made    the old one is read until nothing was added to it for five seconds,
                               since servers write to it for a while; then the new one
    copied and truncated       the rest is read from the copy, then the log from its beginning
    several times while away   each is read in turn, compressed ones too

Nothing is lost as long as the generations stay in one folder and their names begin with the
log's. Reading something twice is harmless: the ids are the same (``lethe.logs.source``).
"""

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from lethe.intake import Candidate, in_batches
from lethe.lines import UNREADABLE
from lethe.logs.place import Place
from lethe.logs.source import Source, began, unzipped

QUIET = 5.0  # seconds
PAUSE = 0.25  # seconds between two looks at a log that does not grow


class Step(NamedTuple):
    """Some lines and the place behind them; no lines when there is nothing to read just now."""

    batch: list[Candidate]
    place: Place


@dataclass(frozen=True, slots=True)
class Follower:
    """Follows the log at ``path``, whose ids are made of ``site`` and ``name``.

    ``clock`` gives seconds and ``sleep`` lets some pass. ``lost`` is called when the generation
    that was being read is gone before its end: deleted, or moved to another folder.
    """

    path: Path
    site: str
    name: str
    lost: Callable[[], None]
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def steps(self, place: Place) -> Iterator[Step]:
        """Yield what is behind ``place``, then what is added, for ever."""
        while True:
            if place.began is None:  # then nothing tells which file it was in
                place = Place()
            file = self._holding(place)
            if file is None:
                self.lost()
                place = self._after(place)
                continue
            try:
                raw = file.open("rb")
            except FileNotFoundError:  # between the two halves of a rotation
                yield Step([], place)
                self.sleep(PAUSE)
                continue
            with raw:
                finished = yield from self._generation(raw, place)
            if finished:
                place = self._after(place)

    def _generation(self, raw: BufferedReader, place: Place) -> Generator[Step, None, bool]:
        """Read one file; return whether it was read to its end, or else was truncated.

        ``place`` moves along.
        """
        stream = unzipped(raw)
        stream.seek(place.offset)
        source = Source(stream, self.site, self.name, place)
        quiet_since = None
        while True:
            live = self._is_live(raw)
            if live and place.offset:
                # Before reading: a truncated log may have grown beyond our offset again.
                if began(stream) != place.began:
                    return False
                stream.seek(place.offset)
            for batch in in_batches(source.candidates(growing=True)):
                quiet_since = None
                yield Step(batch, replace(place))
            yield Step([], replace(place))
            if live:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = self.clock()
            elif self.clock() - quiet_since >= QUIET:
                break
            self.sleep(PAUSE)
        for batch in in_batches(source.candidates()):  # a last line without an end
            yield Step(batch, replace(place))
        return True

    def _is_live(self, raw: BufferedReader) -> bool:
        """Tell whether an open file is still the one that the log's name leads to."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(raw.fileno()))
        except FileNotFoundError:
            return False

    def _holding(self, place: Place) -> Path | None:
        """Return the file that ``place`` is in; None when it is gone."""
        if place.began is None:
            return self.path
        return next((file for file, time in self._generations() if time == place.began), None)

    def _after(self, place: Place) -> Place:
        """Return the beginning of the generation that followed."""
        later = [time for _, time in self._generations() if place.began and time > place.began]
        return Place(began=min(later, default=None))

    def _generations(self) -> list[tuple[Path, int]]:
        """Return each file of the log and when it began, those first that can be read best."""
        files = [
            file for file in self.path.parent.iterdir() if file.name.startswith(self.path.name)
        ]
        files.sort(key=lambda file: (file != self.path, file.suffix == ".gz", file.name))
        return [(file, time) for file in files if (time := _began(file)) is not None]


def _began(file: Path) -> int | None:
    try:
        with file.open("rb") as raw:
            return began(unzipped(raw))
    except UNREADABLE:  # a folder, being compressed, deleted meanwhile, ...
        return None
