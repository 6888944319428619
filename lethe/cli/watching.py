"""How far requests are, while a worker is at them."""

import time
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sinks.ledger import requests
from sinks.ledger.ledger import Ledger
from sinks.ledger.requests import State

WATCH_SECONDS = 0.5
OVER = (State.ANSWERED, State.CLOSED)
AT_ONCE = 1_000


def watch_all(ledger: Ledger) -> None:
    """Show how many of all requests are answered until those that are confirmed are."""
    with _progress() as progress:
        task = progress.add_task("answered", total=None)
        while True:
            with ledger.reading() as connection:
                counts = requests.count(connection)
            done = sum(counts.get(each, 0) for each in OVER)
            going = counts.get(State.CONFIRMED, 0) + counts.get(State.PLANNED, 0)
            progress.update(task, total=done + going, completed=done)
            if not going:
                return
            time.sleep(WATCH_SECONDS)


def watch_some(ledger: Ledger, entered: Iterator[Sequence[str]], total: int) -> None:
    """Show how many requests are entered, and then answered, until all are."""
    open_: set[str] = set()
    with _progress() as progress:
        task = progress.add_task("entered", total=total)
        for some in entered:
            open_ |= set(some)
            progress.advance(task, len(some))
        task, count = progress.add_task("answered", total=len(open_)), len(open_)
        while open_:
            open_ -= _over(ledger, sorted(open_))
            progress.update(task, completed=count - len(open_))
            if open_:
                time.sleep(WATCH_SECONDS)


def _over(ledger: Ledger, names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    with ledger.reading() as connection:
        for start in range(0, len(names), AT_ONCE):
            found |= requests.over(connection, names[start : start + AT_ONCE])
    return found


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
