"""Search everything on disk for addresses that must not be there.

``openers`` turns files into bytes that can be read: Kafka's record batches and ClickHouse's blocks
are compressed. ``needles`` knows every spelling of an address and finds them in bytes. A search
that finds nothing proves little unless it would have found something: plant one and look.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lethe.audit.needles import Needles
from lethe.audit.openers import readings


@dataclass(slots=True)
class Findings:
    """What a search saw: files, bytes after opening, how each was opened, and where hits are.

    ``hits`` are (file, how it was opened, which address by its number among the needles): the
    report of a leak must not leak.
    """

    files: int = 0
    bytes: int = 0
    opened: dict[str, int] = field(default_factory=dict)
    hits: set[tuple[str, str, int]] = field(default_factory=set)


def search(
    folders: Iterable[Path], needles: Needles, progress: Callable[[Path], None] = lambda _: None
) -> Findings:
    """Search every file below ``folders``. What vanishes meanwhile is passed over.

    Raises OSError for a file that is there and cannot be read: nobody knows what it holds.
    """
    findings = Findings()
    for folder in folders:
        for path in _files(folder):
            progress(path)
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            findings.files += 1
            for how, data in readings(path, content):
                findings.bytes += len(data)
                findings.opened[how] = findings.opened.get(how, 0) + 1
                findings.hits |= {(str(path), how, number) for number in needles.found_in(data)}
    return findings


def _files(folder: Path) -> list[Path]:
    # Not rglob, which fails when an engine deletes a folder that it is about to enter.
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(each for each in found if each.is_file())
