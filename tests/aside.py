"""Work in another process.

A process that closes a file which it has open as a database too drops SQLite's locks on it
(sqlite.org/howtocorrupt.html, 2.2): others may then take the log away from under it, and it reads
for ever what was. So nothing in a test opens the files of a ledger that it has open.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from lethe.audit import Findings, search

ROOT = Path(__file__).parents[1]

Result = TypeVar("Result")


def aside(work: Callable[..., Result], *args: Any) -> Result:
    """Call a function of a module elsewhere, and return what it returns."""
    command = [sys.executable, "-m", __name__]
    given = pickle.dumps((work, args))
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    result: Result = pickle.loads(done.stdout)
    return result


def searched(folders: Iterable[Path], needles: Any) -> Findings:
    """Search as ``lethe audit`` does."""
    return aside(search, list(folders), needles)


def contents(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Return what is in files. What vanishes meanwhile is passed over."""
    return aside(read, list(paths))


def read(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Do so in this process, for who has no database open."""
    found = {}
    for path in paths:
        try:
            found[path] = path.read_bytes()
        except FileNotFoundError:
            continue
    return found


def below(folders: Iterable[Path | str]) -> dict[Path, bytes]:
    """Return what is in all files below folders, none of which is a database of this process."""
    return read(
        Path(where, name)
        for folder in folders
        for where, _, names in os.walk(folder)
        for name in names
    )


if __name__ == "__main__":
    work, args = pickle.load(sys.stdin.buffer)
    pickle.dump(work(*args), sys.stdout.buffer)
