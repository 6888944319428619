"""What became of the lines of an input: counts, refusals, and how both are shown.

A refusal is a line's number, a field's name and a rule; of what the line held nothing is kept.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Self, cast

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
from rich.table import Column, Table

from lethe.lines import UNREADABLE
from lethe.logs.place import PlaceError
from privacy.tracking import Problem
from sinks.kafka import NotStoredError
from sinks.salts import SaltsUnavailableError
from streams.settings import SettingsError

SHOWN = 20  # refused lines on screen


class Tally:
    """Counts lines ``published`` and ``refused``; writes refusals to ``report`` if there is one.

    ``rules`` counts the rules broken by (field, rule): a line may break several.
    """

    def __init__(self, report: IO[str] | None = None) -> None:
        self.published = 0
        self.refused = 0
        self.rules: Counter[Problem] = Counter()
        self._first: list[str] = []
        self._report = report

    def refuse(self, line: int, found: Sequence[Problem]) -> None:
        """Count a refused line and note why."""
        self.refused += 1
        self.rules.update(found)
        notes = [f"line {line}: {problem.field}: {problem.rule}" for problem in found]
        self._first += notes[: SHOWN - len(self._first)]
        if self._report:
            self._report.writelines(f"{note}\n" for note in notes)

    @property
    def lines(self) -> int:
        """How many lines were dealt with."""
        return self.published + self.refused

    def show(self, console: Console) -> None:
        """Print the first refusals and a table of all counts."""
        for note in self._first:
            console.print(note, markup=False, highlight=False)
        table = Table("", Column("lines", justify="right"), Column("share", justify="right"))
        rows = {"published": self.published, "refused": self.refused}
        rows |= {f"  {each.field}: {each.rule}": n for each, n in self.rules.most_common()}
        for name, count in rows.items():
            table.add_row(name, f"{count:,}", f"{count / self.lines:.1%}" if self.lines else "-")
        console.print(table)


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
