"""What became of the lines of an input: counts, refusals, and how both are shown.

A refusal is a line's number, a field's name and a rule; of what the line held nothing is kept.
"""

from collections import Counter
from collections.abc import Sequence
from typing import IO

from rich.console import Console
from rich.table import Column, Table

from privacy.contract import Problem

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
