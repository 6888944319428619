"""Tracking events as JSON lines: one object a line, under the collector's rules (S9)."""

from collections.abc import Callable, Iterator

from lethe.intake import Candidate
from lethe.lines import Stream, read_lines
from privacy.contract import Problem
from streams.collector.body import read_events
from streams.collector.refusal import Refusal

LONGEST = 65_536  # bytes of a line


def candidates(stream: Stream, ids: Callable[[], str]) -> Iterator[Candidate]:
    """Yield an event, or why there is none, for each line that is not blank.

    ``ids`` makes the ids of events that bring none.
    """
    for number, line in enumerate(read_lines(stream, LONGEST), start=1):
        if line.content is None:
            yield Candidate(number, Problem("line", f"is longer than {LONGEST} bytes"))
        elif line.content.strip():
            yield Candidate(number, _event(line.content), ids())


def _event(content: bytes) -> object:
    try:
        events = read_events(content)
    except Refusal as refusal:
        if refusal.faults:
            return refusal.faults[0].problem
        return Problem("line", refusal.rule or "is no event")
    return events[0] if len(events) == 1 else Problem("line", "must hold one event")
