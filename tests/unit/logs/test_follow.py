"""Rotations of every kind, each line read exactly once or with the same id."""

import gzip
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest

from lethe.logs.follow import QUIET, Follower
from lethe.logs.place import Place

Line = Callable[..., bytes]


class EndedError(Exception):
    """Raised where the story ends, as Ctrl-C would."""


@dataclass
class Story:
    """What happens to a log while it is followed: one event each time the follower waits."""

    path: Path
    acts: Iterator[Callable[[], object]] = field(default_factory=lambda: iter(()))
    seconds: float = 0.0
    lost: int = 0
    pages: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    place: Place = field(default_factory=Place)

    def sleep(self, seconds: float) -> None:
        """Let time pass and the next act happen."""
        self.seconds += seconds
        act = next(self.acts, None)
        if act is None:
            raise EndedError
        act()

    def wait(self) -> None:
        """Let enough time pass for a rotated file to count as finished."""
        self.seconds += QUIET

    def note_lost(self) -> None:
        """Count what the follower could not read on."""
        self.lost += 1

    def play(self, *acts: Callable[[], object]) -> None:
        """Follow the log from the place reached so far until the acts are over."""
        self.acts = iter(acts)
        follower = Follower(
            self.path, "shop.example", "access", self.note_lost, lambda: self.seconds, self.sleep
        )
        with suppress(EndedError):
            for batch, place in follower.steps(self.place):
                self.place = place
                good = [candidate for candidate in batch if candidate.event_id]
                self.pages += [candidate.event["page"] for candidate in good]
                self.ids += [candidate.event_id for candidate in good]

    def write(self, *lines: bytes) -> None:
        """Append to the log, as the server does."""
        with self.path.open("ab") as log:
            log.writelines(lines)

    def rename(self, to: str) -> None:
        """Move the log aside."""
        self.path.rename(self.path.with_name(to))

    def compress(self, name: str) -> None:
        """Replace a file by its .gz."""
        file = self.path.with_name(name)
        file.with_name(f"{name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "access.log")


def pages(*numbers: int) -> list[str]:
    return [f"/page/{number}" for number in numbers]


def test_lines_are_read_as_they_come(story: Story, log_line: Line) -> None:
    story.write(log_line(1))
    story.play(lambda: story.write(log_line(2)), lambda: story.write(log_line(3), log_line(4)))
    assert story.pages == pages(1, 2, 3, 4)


def test_half_a_line_waits_for_its_other_half(story: Story, log_line: Line) -> None:
    story.write(log_line(1), log_line(2)[:30])
    story.play(lambda: story.write(log_line(2)[30:]))
    assert story.pages == pages(1, 2)


def test_a_log_that_is_not_there_yet_is_waited_for(story: Story, log_line: Line) -> None:
    story.play(lambda: story.write(log_line(1)), lambda: None)
    assert story.pages == pages(1)


def test_renamed_log_is_read_to_its_end_before_the_new_one(story: Story, log_line: Line) -> None:
    """Servers go on writing to the old file until they are told to open the new one."""
    old = story.path.with_name("access.log.1")

    def late() -> None:
        with old.open("ab") as log:
            log.write(log_line(2))

    story.write(log_line(1))
    story.play(
        lambda: story.rename(old.name),
        lambda: story.write(log_line(3, hour=10)),
        late,
        story.wait,
        story.wait,
        story.wait,
        story.wait,
    )
    assert story.pages == pages(1, 2, 3)
    assert story.lost == 0


def test_renamed_log_is_read_for_as_long_as_it_grows(story: Story, log_line: Line) -> None:
    old = story.path.with_name("access.log.1")

    def late(number: int) -> None:
        story.wait()
        with old.open("ab") as log:
            log.write(log_line(number))

    story.write(log_line(1))
    story.play(
        lambda: story.rename(old.name),
        lambda: story.write(log_line(5, hour=10)),
        lambda: late(2),
        lambda: late(3),
        lambda: late(4),
        *[story.wait] * 3,
    )
    assert story.pages == pages(1, 2, 3, 4, 5)


def test_a_place_stays_as_it_was_when_reading_goes_on(story: Story, log_line: Line) -> None:
    """It is saved later, when the broker has confirmed what lies before it."""
    story.write(*map(log_line, range(2_500)))
    steps = Follower(
        story.path, "shop.example", "access", story.note_lost, lambda: 0.0, story.sleep
    ).steps(Place())
    places = [place for _, place in islice(steps, 3)]
    assert [place.line for place in places] == [1_000, 2_000, 2_500]


def test_renamed_log_may_end_without_a_line_end(story: Story, log_line: Line) -> None:
    story.write(log_line(1).rstrip())
    story.play(lambda: story.rename("access.log.1"), story.wait, story.wait, story.wait)
    assert story.pages == pages(1)


def test_renamed_and_deleted_log_is_still_read(story: Story, log_line: Line) -> None:
    def rotate() -> None:
        story.write(log_line(2))
        story.path.unlink()
        story.write(log_line(3, hour=10))

    story.write(log_line(1))
    story.play(rotate, story.wait, story.wait, story.wait)
    assert story.pages == pages(1, 2, 3)


def test_rest_of_a_truncated_log_is_read_from_its_copy(story: Story, log_line: Line) -> None:
    def rotate() -> None:
        story.write(log_line(2))
        shutil.copy(story.path, story.path.with_name("access.log.1"))
        story.path.write_bytes(b"")
        story.write(log_line(3, hour=10))

    story.write(log_line(1))
    story.play(rotate, story.wait, story.wait, story.wait)
    assert story.pages == pages(1, 2, 3)
    assert story.lost == 0


def test_truncated_log_that_has_outgrown_the_old_one_is_noticed(
    story: Story, log_line: Line
) -> None:
    def rotate() -> None:
        story.path.write_bytes(b"")
        story.write(*(log_line(number, hour=10) for number in range(2, 9)))

    story.write(log_line(1))
    story.play(rotate, lambda: None, lambda: None)
    assert story.pages == pages(1, 2, 3, 4, 5, 6, 7, 8)
    assert story.lost == 1, "without a copy nobody knows what was between the last look and the cut"


def test_log_is_followed_on_from_where_it_was_left(story: Story, log_line: Line) -> None:
    story.write(log_line(1), log_line(2))
    story.play()
    story.write(log_line(3))
    story.play()
    assert story.pages == pages(1, 2, 3)


@pytest.mark.parametrize("compressed", [False, True])
def test_rotations_while_away_are_made_up_for(
    story: Story, log_line: Line, *, compressed: bool
) -> None:
    story.write(log_line(1))
    story.play()
    story.write(log_line(2))
    story.rename("access.log.2")
    story.write(log_line(3, hour=10))
    story.rename("access.log.1")
    story.write(log_line(4, hour=11))
    if compressed:
        story.compress("access.log.2")
    story.play(*[story.wait] * 6)
    assert story.pages == pages(1, 2, 3, 4)
    assert story.lost == 0


def test_rest_that_is_gone_is_told(story: Story, log_line: Line) -> None:
    story.write(log_line(1))
    story.play()
    story.path.unlink()
    story.write(log_line(2, hour=10))
    story.play()
    assert story.pages == pages(1, 2)
    assert story.lost == 1


def test_other_logs_in_the_folder_are_left_alone(story: Story, log_line: Line) -> None:
    story.path.with_name("error.log").write_bytes(log_line(9))
    story.write(log_line(1))
    story.play(
        lambda: story.rename("access.log.1"),
        lambda: story.write(log_line(2, hour=10)),
        *[story.wait] * 4,
    )
    assert story.pages == pages(1, 2)


def test_followed_lines_have_the_ids_of_the_log_read_at_once(story: Story, log_line: Line) -> None:
    story.write(log_line(1))
    story.play(lambda: story.write(log_line(2)))
    again = Story(story.path)
    again.play()
    assert story.ids == again.ids


def test_junk_alone_does_not_keep_a_log_from_being_followed(story: Story, log_line: Line) -> None:
    story.write(b"junk\n")
    story.play()
    story.play(lambda: story.write(log_line(1)), lambda: None)
    assert set(story.pages) == set(pages(1))
    assert story.lost == 0
