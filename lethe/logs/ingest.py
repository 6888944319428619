"""From a log to the broker: once, or for as long as it grows (S8)."""

import re
from collections.abc import Callable
from functools import partial
from io import BufferedReader
from pathlib import Path

from lethe.intake import Intake
from lethe.logs.follow import Follower
from lethe.logs.place import Place, load, save
from lethe.logs.source import Source, unzipped

_SUFFIXES = re.compile(r"(\.log|\.txt)?([.-]\d{1,14})?(\.gz)?", re.ASCII)


def log_name(file_name: str) -> str:
    """Return a log's name without the suffixes of its kind, rotation and compression.

    ``access.log``, ``access.log.1``, ``access.log-20261123`` and ``access.log.2.gz`` are one log.
    """
    return next(
        file_name[:end]
        for end in range(1, len(file_name) + 1)
        if _SUFFIXES.fullmatch(file_name, end)
    )


def ingest(
    raw: BufferedReader, site: str, name: str, intake: Intake, advance: Callable[[], None]
) -> None:
    """Publish what is in an open log and wait until it is stored."""
    intake.take_all(Source(unzipped(raw), site, name, Place()).candidates(), advance)


def ingest_following(
    follower: Follower, place_file: Path, intake: Intake, advance: Callable[[], None]
) -> None:
    """Publish a log's lines as they come, for ever, from where ``place_file`` says.

    The file is written when everything before a place is stored, so a crash loses nothing.
    """
    for batch, place in follower.steps(load(place_file)):
        if batch:
            intake.take(batch, partial(save, place_file, place))
        else:
            intake.settle()
        advance()
