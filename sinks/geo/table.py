"""The table a build leaves behind: one file, read whole, replaced at once.

``.npz``, not compressed: opening it checks every byte (CRC), a newer one takes its place in one
rename, and nothing of the old stays on disk, as the GeoLite2 licence asks.
"""

import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sinks.geo.errors import GeoError

FORMAT = 2
# What is raised on a file that is damaged, or none of ours: not all of it is thought of.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)
V4_BITS = 24
V6_BITS = 48
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Source:
    """One database file a table was built from. ``built``: seconds since 1970."""

    file: str
    sha256: str
    built: int


@dataclass(frozen=True, slots=True)
class About:
    """Where a table's data come from and what must be said when results show."""

    name: str
    attribution: str
    link: str
    licence: str
    refuse_after_days: int | None
    sources: tuple[Source, ...]

    @property
    def built(self) -> datetime:
        """When the publisher built the oldest of the databases."""
        return datetime.fromtimestamp(min(source.built for source in self.sources), UTC)

    def age_days(self, now: datetime) -> float:
        """Return how old the data are."""
        return (now - self.built).total_seconds() / DAY_SECONDS

    def require_fresh(self, now: datetime) -> None:
        """Raise GeoError when the licence no longer allows the use of data of this age."""
        if self.refuse_after_days is not None and self.age_days(now) > self.refuse_after_days:
            raise GeoError(
                f"{self.name}: older than {self.refuse_after_days} days, which its licence "
                "does not allow; get the newest file and run: lethe geo update"
            )


class Ranges(NamedTuple):
    """City codes of consecutive blocks: ``starts[i]`` up to ``starts[i + 1]`` have ``codes[i]``.

    An address's first 24 (IPv4) or 48 bits (IPv6) are its block's number; ``starts[0]`` is 0.
    """

    starts: NDArray[np.int64]
    codes: NDArray[np.int32]


class Points(NamedTuple):
    """Positions (degrees) of the towns that coordinates may lead to."""

    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]
    populations: NDArray[np.float64]
    codes: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Table:
    """City codes of address blocks and of positions. Code 0: unknown.

    ``names[code]`` is (country, city); the city is empty where only the country is known. Towns
    of the same name in one country share a code, since statistics could not tell them apart.
    """

    about: About
    names: list[tuple[str, str]]
    v4: Ranges
    v6: Ranges
    points: Points

    def save(self, path: Path) -> None:
        """Put the table in place of whatever is there, at once or not at all. One saver a time."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {
            "about": _encode({"format": FORMAT, **asdict(self.about)}),
            "names": _encode(self.names),
        }
        for group in ("v4", "v6", "points"):
            for name, array in getattr(self, group)._asdict().items():
                arrays[f"{group}_{name}"] = array
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Table":
        """Read a table. Raises FileNotFoundError, or GeoError when it cannot be used."""
        with _opened(path) as content:
            about = _about(path, content)
            return cls(
                about,
                [(country, city) for country, city in _decode(content["names"])],
                Ranges(*(content[f"v4_{name}"] for name in Ranges._fields)),
                Ranges(*(content[f"v6_{name}"] for name in Ranges._fields)),
                Points(*(content[f"points_{name}"] for name in Points._fields)),
            )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path) as content:
            yield content
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        raise GeoError(f"{path.name}: damaged city table; run: lethe geo update") from error


def _about(path: Path, content: Any) -> About:
    fields = _decode(content["about"])
    if fields.pop("format") != FORMAT:
        raise GeoError(f"{path.name}: city table of another version; run: lethe geo update")
    sources = tuple(Source(**source) for source in fields.pop("sources"))
    return About(sources=sources, **fields)


def _encode(content: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(content).encode(), np.uint8)


def _decode(content: NDArray[np.uint8]) -> Any:
    return json.loads(content.tobytes())
