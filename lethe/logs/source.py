"""A log as numbered lines with ids (S8): the same line has the same id however often it is read."""

import gzip
import uuid
from collections.abc import Iterator
from io import BufferedReader

from lethe.intake import Candidate
from lethe.lines import Stream, read_lines
from lethe.logs.parse import parse
from lethe.logs.place import Place
from privacy.contract import Problem

LONGEST = 131_072  # bytes of a line: URL, referrer and user agent of 8 KiB, each byte as \xff
PROBE = 1_000  # lines among which a log's first readable request is looked for

_TOO_LONG = Problem("line", f"is longer than {LONGEST} bytes")
_NAMESPACE = uuid.UUID("0d1c8f5e-6a0b-4c5b-9a52-7f3a1e0c9b64")


class Source:
    """One generation of a log: what lies between two rotations. ``place`` moves as it is read.

    An event's id is made of the site, the log's name, the time of the log's first readable
    request, the line's offset (uncompressed) and the request's time, and so of nobody's data. It
    stays the same when the log is renamed, compressed, copied or read again. Servers whose logs
    have the same file name must be told apart by ``name``.
    """

    def __init__(self, stream: Stream, site: str, name: str, place: Place) -> None:
        self._stream = stream
        self._identity = f"{site}|{name}"
        self._place = place

    def candidates(self, *, growing: bool = False) -> Iterator[Candidate]:
        """Yield what there is to read, without blank lines.

        With ``growing`` a last line that has no end yet is left for the next call; the stream
        must then be seekable.
        """
        place = self._place
        for size, content in read_lines(self._stream, LONGEST, growing=growing):
            start = place.offset
            place.offset += size
            place.line += 1
            if content is None:
                yield Candidate(place.line, _TOO_LONG)
            elif content:
                yield self._candidate(content, start)

    def _candidate(self, content: bytes, start: int) -> Candidate:
        place = self._place
        hit = parse(content)
        if isinstance(hit, Problem):
            return Candidate(place.line, hit)
        event, moment, agent = hit.event, hit.answered.at, None
        if not isinstance(event, Problem):
            agent = event.pop("user_agent")
            if place.began is None and place.line <= PROBE:
                place.began = moment
        text = f"{self._identity}|{place.began}|{start}|{moment}"
        return Candidate(
            line=place.line,
            event=event,
            event_id=str(uuid.uuid5(_NAMESPACE, text)),
            user_agent=agent,
            answered=hit.answered,
        )


def unzipped(raw: BufferedReader) -> Stream:
    """Return what a file holds, uncompressed when it is gzip's. Close ``raw`` after use."""
    return gzip.open(raw) if raw.peek(2).startswith(b"\x1f\x8b") else raw


def began(stream: Stream) -> int | None:
    """Return what ``Place.began`` is after reading a log. Leaves the stream somewhere else."""
    place = Place()
    stream.seek(0)
    for _ in Source(stream, "", "", place).candidates(growing=True):
        if place.began is not None or place.line >= PROBE:
            break
    return place.began
