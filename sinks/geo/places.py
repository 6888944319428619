"""The city of shortened addresses and of coordinates, for whole batches (S11)."""

from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sinks.geo.table import V4_BITS, V6_BITS, Table

EARTH_KM = 6371.0
REACH_KM = 50.0  # beyond it a position is in no city
NEIGHBOURS = 8
UNKNOWN = 0

Codes = NDArray[np.int32]


class Places:
    """A table in memory, about 170 MB for DB-IP City Lite.

    ``countries[code]`` and ``cities[code]`` are arrays of str; code 0 is unknown, ``""`` in both.
    Safe to use from several threads.
    """

    def __init__(self, table: Table, path: Path, stamp: tuple[int, ...]) -> None:
        self.about = table.about
        self.countries = np.array([country for country, _ in table.names], dtype=object)
        self.cities = np.array([city for _, city in table.names], dtype=object)
        self._path = path
        self._stamp = stamp
        # Every /24 has its cell (64 MB): one step instead of a binary search.
        self._v4 = np.repeat(table.v4.codes, np.diff(table.v4.starts, append=1 << V4_BITS))
        self._v6 = table.v6
        points = table.points
        self._towns = cKDTree(_on_sphere(points.latitudes, points.longitudes))
        # One more, for the neighbours that are not there.
        self._codes = np.append(points.codes, np.int32(UNKNOWN))
        self._pull = np.append(np.maximum(points.populations, 1.0) ** 0.25, 1.0)

    @classmethod
    def open(cls, path: Path) -> "Places":
        """Read a table. Raises FileNotFoundError, or GeoError when it cannot be used."""
        stamp = _stamp(path)
        return cls(Table.load(path), path, stamp)

    def refreshed(self) -> "Places":
        """Return these places, or those of a newer table once one is installed.

        One ``stat``, cheap enough between batches. While the file is missing these stay in use.
        """
        try:
            return self if _stamp(self._path) == self._stamp else Places.open(self._path)
        except FileNotFoundError:
            return self

    def locate(self, addresses: Sequence[str | None]) -> Codes:
        """Return the city code of each address that ``shorten`` gave.

        What is no address, and None, has code 0; so have all private and reserved ones. Only the
        first 24 (IPv4) or 48 bits (IPv6) are looked at.
        """
        texts = [address or "0.0.0.0" for address in addresses]  # noqa: S104, not listened on
        v6 = np.fromiter((":" in text for text in texts), np.bool_, len(texts))
        codes = np.empty(len(texts), np.int32)
        packed = _pack(AF_INET, [text for text in texts if ":" not in text])
        codes[~v6] = self.locate_v4((packed.view(">u4") >> (32 - V4_BITS)).astype(np.int32))
        if v6.any():
            packed = _pack(AF_INET6, [text for text in texts if ":" in text])
            codes[v6] = self._locate_v6(packed.view(">u8")[::2] >> (64 - V6_BITS))
        return codes

    def locate_v4(self, networks: NDArray[np.int32]) -> Codes:
        """Return the city code of each IPv4 network, as the number of its first 24 bits."""
        return self._v4[networks]

    def nearest(self, latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> Codes:
        """Return the city code of each pair of coordinates, in degrees; they go no further.

        Of the 8 nearest towns the one with the least distance / population^0.25: a city reaches
        farther than the village beside it. Code 0 beyond 50 km of any, for positions out of
        range or not finite, and for (0, 0), which is what broken devices send.
        """
        codes = np.zeros(len(latitudes), np.int32)
        valid = (np.abs(latitudes) <= 90) & (np.abs(longitudes) <= 180)  # NaN fails both
        valid &= (latitudes != 0) | (longitudes != 0)
        reach = 2 * np.sin(REACH_KM / EARTH_KM / 2)
        chords, towns = self._towns.query(
            _on_sphere(latitudes[valid], longitudes[valid]), NEIGHBOURS, distance_upper_bound=reach
        )
        best = np.argmin(chords / self._pull[towns], axis=1)
        codes[valid] = self._codes[towns[np.arange(len(best)), best]]
        return codes

    def _locate_v6(self, blocks: NDArray[np.int64]) -> Codes:
        # Searching in order walks the table once, 3 times as fast as jumping about in it.
        order = np.argsort(blocks)
        at = np.searchsorted(self._v6.starts, blocks[order], "right") - 1
        codes = np.empty(len(blocks), np.int32)
        codes[order] = self._v6.codes[at]
        return codes


def _pack(family: int, addresses: list[str]) -> NDArray[np.uint8]:
    try:
        packed = b"".join(map(inet_pton, repeat(family), addresses))
    except (OSError, ValueError):  # one of them is no address: take them one by one
        packed = b"".join(_pack_one(family, address) for address in addresses)
    return np.frombuffer(packed, np.uint8)


def _pack_one(family: int, address: str) -> bytes:
    try:
        return inet_pton(family, address)
    except (OSError, ValueError):
        return bytes(4 if family == AF_INET else 16)  # the unspecified address lies nowhere


def _on_sphere(
    latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return points on the unit sphere, (n, 3): straight distances there order as real ones do."""
    latitudes, longitudes = np.radians(latitudes), np.radians(longitudes)
    flat = np.cos(latitudes)
    return np.column_stack(
        (flat * np.cos(longitudes), flat * np.sin(longitudes), np.sin(latitudes))
    )


def _stamp(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
