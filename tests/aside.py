"""Work in another process.

A process that closes a file which it has open as a database too drops SQLite's locks on it
(sqlite.org/howtocorrupt.html, 2.2): others may then take the log away from under it, and it reads
for ever what was. So nothing in a test opens the files of a ledger that it has open.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from lethe.audit import Findings, search

Result = TypeVar("Result")


def aside(work: Callable[..., Result], *args: Any) -> Result:
    """Call a function of a module elsewhere, and return what it returns."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def searched(folders: Iterable[Path], needles: Any) -> Findings:
    """Search as ``lethe audit`` does."""
    return aside(search, list(folders), needles)


def contents(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Return what is in files. What vanishes meanwhile is passed over."""
    return aside(_contents, list(paths))


def _contents(paths: Iterable[Path]) -> dict[Path, bytes]:
    found = {}
    for path in paths:
        try:
            found[path] = path.read_bytes()
        except FileNotFoundError:
            continue
    return found
