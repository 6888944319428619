"""The same line has the same id however often, and from whichever copy, it is read."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from lethe.intake import Candidate
from lethe.logs.place import Place
from lethe.logs.source import LONGEST, Source, began, unzipped

Line = Callable[..., bytes]


def read(content: bytes, site: str = "shop.example", name: str = "access") -> list[Candidate]:
    return list(Source(io.BytesIO(content), site, name, Place()).candidates())


def ids(candidates: list[Candidate]) -> list[str]:
    return [candidate.event_id for candidate in candidates]


def test_reading_again_gives_the_same_ids(log_line: Line) -> None:
    content = b"".join(map(log_line, range(50)))
    assert ids(read(content)) == ids(read(content))
    assert len(set(ids(read(content)))) == 50


def test_reading_on_gives_the_ids_that_reading_at_once_gives(log_line: Line) -> None:
    """A log read while it grew, and its rotated copy read later."""
    content = b"junk\n" + b"".join(map(log_line, range(50)))
    place = Place()
    half = len(content) // 2
    parts = list(Source(io.BytesIO(content[:half]), "shop.example", "access", place).candidates(
        growing=True
    ))  # fmt: skip
    rest = io.BytesIO(content)
    rest.seek(place.offset)
    parts += Source(rest, "shop.example", "access", place).candidates()
    assert parts == read(content)


@pytest.mark.parametrize("other", [{"site": "blog.example"}, {"name": "web2"}])
def test_other_sites_and_servers_have_other_ids(log_line: Line, other: dict[str, str]) -> None:
    content = b"".join(map(log_line, range(50)))
    assert not set(ids(read(content))) & set(ids(read(content, **other)))


def test_equal_lines_are_different_requests(log_line: Line) -> None:
    assert len(set(ids(read(log_line(1) * 3)))) == 3


def test_ids_are_made_of_no_personal_data(log_line: Line) -> None:
    """Whoever has an id and guesses an address must not be able to check the guess."""
    line = log_line(1)
    other = line.replace(b"192.0.2.2", b"203.0.1.9").replace(b"Browser", b"Chrome_")
    assert len(line) == len(other)
    assert ids(read(line * 2)) == ids(read(other * 2))


def test_next_generation_of_a_log_has_other_ids(log_line: Line) -> None:
    first, second = log_line(1, hour=8) + log_line(2), log_line(1, hour=9) + log_line(2)
    assert ids(read(first))[1] != ids(read(second))[1]


def test_compressed_logs_are_the_same_log(log_line: Line, tmp_path: Path) -> None:
    content = b"".join(map(log_line, range(50)))
    file = tmp_path / "access.log.1"
    file.write_bytes(gzip.compress(content))
    with file.open("rb") as raw:
        source = Source(unzipped(raw), "shop.example", "access", Place())
        assert list(source.candidates()) == read(content)


def test_lines_are_numbered_as_an_editor_does(log_line: Line) -> None:
    content = log_line(1) + b"\n\r\n" + log_line(2) + b"junk\n" + log_line(3).rstrip()
    assert [candidate.line for candidate in read(content)] == [1, 4, 5, 6]


def test_line_ends_of_windows_are_no_part_of_a_line(log_line: Line) -> None:
    assert read(log_line(1).replace(b"\n", b"\r\n"))[0].user_agent == "Browser/1.0"


def test_long_lines_are_refused_and_the_next_is_read(log_line: Line) -> None:
    content = b"x" * (3 * LONGEST) + b"\n" + log_line(1)
    long, good = read(content)
    assert (long.line, long.event.field) == (1, "line")
    assert (good.line, good.event["page"]) == (2, "/page/1")


def test_line_without_an_end_is_left_while_the_log_grows(log_line: Line) -> None:
    stream = io.BytesIO(log_line(1) + log_line(2)[:20])
    place = Place()
    source = Source(stream, "shop.example", "access", place)
    assert len(list(source.candidates(growing=True))) == 1
    assert (place.offset, place.line, stream.tell()) == (len(log_line(1)), 1, len(log_line(1)))
    assert len(list(source.candidates())) == 1


def test_a_log_begins_with_its_first_readable_request(log_line: Line) -> None:
    assert began(io.BytesIO(b"junk\n" + log_line(0, hour=8))) == 1_792_656_000_000
    assert began(io.BytesIO(b"junk\n")) is None


def test_where_a_log_begins_does_not_depend_on_how_it_is_looked_at(log_line: Line) -> None:
    """Else following a log of much junk would take every look for a rotation."""
    for junk in (998, 999, 1_000, 1_001):
        content = b"junk\n" * junk + log_line(1)
        place = Place()
        list(Source(io.BytesIO(content), "", "", place).candidates())
        assert began(io.BytesIO(content)) == place.began
