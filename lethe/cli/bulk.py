"""What the commands that read files share: input, progress, and how they end."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Self, cast

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from lethe.lines import UNREADABLE
from lethe.logs.place import PlaceError
from lethe.tally import Tally
from sinks.kafka import NotStoredError
from sinks.salts import SaltsUnavailableError
from streams.settings import SettingsError


@contextmanager
def accounted(command: str, report: Path | None) -> Iterator[Tally]:
    """Give a tally, and show it at the end, however that comes about.

    What an operator can mend is said in one line and ends the command with exit code 2.
    """
    with ExitStack() as stack:
        try:
            tally = Tally(stack.enter_context(report.open("w")) if report else None)
            try:
                yield tally
            finally:
                if tally.lines:
                    tally.show(Console())
        except _MENDABLE as error:
            typer.echo(f"{command}: {error or type(error).__name__}", err=True)
            raise typer.Exit(2) from None


_MENDABLE = (
    *UNREADABLE,
    PlaceError,
    NotStoredError,
    SaltsUnavailableError,
    SettingsError,
)


@contextmanager
def opened_input(file: str) -> Iterator[BufferedReader]:
    """Open a file for reading bytes; ``-`` is standard input."""
    if file == "-":
        yield cast("BufferedReader", sys.stdin.buffer)
    else:
        with Path(file).open("rb") as raw:
            yield raw


class Bar:
    """A progress bar on standard error: how far, how fast, how many were refused.

    ``raw`` is the file that is read, whose position is how far; None when there is no end.
    """

    def __init__(self, tally: Tally, raw: BufferedReader | None = None) -> None:
        self._tally = tally
        self._raw = raw if raw and raw.seekable() else None
        total = os.fstat(self._raw.fileno()).st_size if self._raw else None
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._progress.add_task("starting", total=total)
        self._task = self._progress.tasks[0]

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self) -> None:
        """Show the tally and the file's position as they are now."""
        lines = self._tally.lines
        speed = lines / (self._task.elapsed or 1)
        self._progress.update(
            self._task.id,
            completed=self._raw.tell() if self._raw else 0,
            description=f"{lines:,} lines, {self._tally.refused:,} refused, {speed:,.0f} lines/s",
        )
