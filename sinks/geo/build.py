"""Flatten MaxMind databases into one table of city codes (S11).

Of a database's record only country and city survive. Postcode, region and coordinates end here;
coordinates serve once more, to find the GeoNames place the city is.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sinks.geo import GeoError
from sinks.geo.geonames import Geonames, Place
from sinks.geo.mmdb import Database, Networks, Version
from sinks.geo.publishers import publisher_of
from sinks.geo.table import V4_BITS, V6_BITS, About, Points, Ranges, Source, Table

Progress = Callable[[str, float], None]  # what is being done, share of the whole done so far

BLOCK_BITS: dict[Version, int] = {4: V4_BITS, 6: V6_BITS}

# Where no visitor's city is, whatever a database says (IANA special-purpose registries): "this
# network", private, shared, loopback, link-local, documentation, benchmarks, multicast, reserved;
# of IPv6 everything but global unicast, and in it Teredo, documentation and 6to4.
SPECIAL: dict[Version, tuple[str, ...]] = {
    4: (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    ),
    6: ("::/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/2", "8000::/1"),
}  # fmt: skip

# DB-IP adds the district: "Berlin (Bezirk Mitte)"; or a number: "Paris 02 Bourse", "Praha 5".
_DISTRICT = re.compile(r"\s*\(.*\)$")
_NUMBERED = re.compile(r"\s+\d.*$")
_COUNTRY = re.compile(r"[A-Z]{2}")


class Position(NamedTuple):
    """What is read of a database's record. Coordinates only tell namesakes apart: 0.1 degrees."""

    country: str
    city: str
    latitude: float
    longitude: float


NOWHERE = Position("", "", 0.0, 0.0)


def build(paths: Sequence[Path], progress: Progress) -> Table:
    """Build a table from databases of one publisher; each IP version comes from one of them.

    Raises GeoError when a file is no city database, is damaged, or fills a version twice.
    """
    databases = [Database(path) for path in paths]
    about = _about(databases)
    progress("reading place names", 0.02)
    cities = Cities(Geonames.load())
    found: dict[Version, Ranges] = {}
    steps = [(database, version) for database in databases for version in BLOCK_BITS]
    for i, (database, version) in enumerate(steps):
        progress(f"reading IPv{version} networks of {database.path.name}", 0.1 + 0.8 * i / len(steps))
        ranges = _read(database, version, cities)
        if ranges is None:
            continue
        if version in found:
            raise GeoError(f"{database.path.name}: another file has IPv{version} already")
        found[version] = ranges
    if not any(city for _, city in cities.names):
        raise GeoError(f"{', '.join(path.name for path in paths)}: no record names a city")
    progress("placing towns", 0.95)
    empty = Ranges(np.zeros(1, np.int64), np.zeros(1, np.int32))
    return Table(about, cities.names, found.get(4, empty), found.get(6, empty), cities.points())


class Cities:
    """Gives each (country, city) its code, under the name GeoNames has for it."""

    def __init__(self, geonames: Geonames) -> None:
        self.names = [("", "")]
        self._geonames = geonames
        self._codes: dict[tuple[str, str], int] = {("", ""): 0}
        self._known: dict[Position, int] = {}
        self._places: dict[Place, int] = {}

    def code(self, position: Position) -> int:
        """Return the code of the city at a position."""
        code = self._known.get(position)
        if code is None:
            code = self._known[position] = self._resolve(position)
        return code

    def points(self) -> Points:
        """Return the GeoNames places that some record named as its city.

        The others stay out: most are districts, which GeoNames lists like towns (of Germany's
        listed districts this leaves out 94 %, of its towns 0.04 %), and coordinates then give no
        city that addresses could not give too.
        """
        places = self._places
        return Points(
            np.array([place.latitude for place in places], np.float64),
            np.array([place.longitude for place in places], np.float64),
            np.array([place.population for place in places], np.float64),
            np.array(list(places.values()), np.int32),
        )

    def _resolve(self, position: Position) -> int:
        country, city, latitude, longitude = position
        for name in dict.fromkeys((_NUMBERED.sub("", city), city)):
            place = self._geonames.resolve(country, name, latitude, longitude)
            if place is not None:
                self._places[place] = self._code_of(country, place.name)
                return self._places[place]
        return self._code_of(country, city)

    def _code_of(self, country: str, city: str) -> int:
        code = self._codes.setdefault((country, city), len(self.names))
        if code == len(self.names):
            self.names.append((country, city))
        return code


def read_position(record: Any) -> Position:
    """Read a record of the flat layout (ip-location-db) or the nested one (GeoIP2, GeoLite2)."""
    country = _dig(record, "country_code") or _dig(record, "country", "iso_code")
    if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
        return NOWHERE
    city = _dig(record, "city")
    if isinstance(city, dict):
        city = _dig(city, "names", "en")
    where = _dig(record, "location") or record
    latitude, longitude = _dig(where, "latitude"), _dig(where, "longitude")
    return Position(
        country,
        _DISTRICT.sub("", city) if isinstance(city, str) else "",
        round(latitude, 1) if isinstance(latitude, float) else 0.0,
        round(longitude, 1) if isinstance(longitude, float) else 0.0,
    )


def flatten(
    blocks: NDArray[np.int64], lengths: NDArray[np.uint8], codes: NDArray[np.int32], version: Version
) -> Ranges:
    """Turn networks (their first block, prefix length and city code) into ranges of blocks.

    A block that is split takes the city of most of its located addresses: whoever looks up a
    shortened address can know no more (on DB-IP it is wrong for 0.5 % of IPv4 addresses).
    """
    bits = BLOCK_BITS[version]
    split = lengths > bits
    votes = split & (codes != 0)
    won = _majority(blocks[votes], codes[votes], 0.5 ** lengths[votes].astype(np.float64))
    whole = ~split
    ranges = _ranges(
        np.concatenate((blocks[whole], won[0])),
        np.concatenate((lengths[whole], np.full(len(won[0]), bits, np.uint8))),
        np.concatenate((codes[whole], won[1])),
        bits,
    )
    for special in map(ip_network, SPECIAL[version]):
        first = int(special.network_address) >> (special.max_prefixlen - bits)
        last = int(special.broadcast_address) >> (special.max_prefixlen - bits)
        ranges = _blank(ranges, first, last)
    return _merge(ranges)


def _read(database: Database, version: Version, cities: Cities) -> Ranges | None:
    networks = database.networks(version)
    if not len(networks.records):
        return None
    codes = _codes(database, networks, version, cities)
    blocks = (networks.addresses[:, 0] >> np.uint64(64 - BLOCK_BITS[version])).astype(np.int64)
    lengths = networks.lengths
    del networks  # 200 MB that the next step does not need
    return flatten(blocks, lengths, codes, version)


def _dig(record: Any, *keys: str) -> Any:
    """Return what lies under the keys, None where a layout has no such thing."""
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def _about(databases: Sequence[Database]) -> About:
    publishers = {publisher_of(database.kind, database.path.name) for database in databases}
    if len(publishers) != 1:
        raise GeoError("give databases of one publisher: each has its own licence")
    publisher = publishers.pop()
    return About(
        **publisher._asdict(),
        sources=tuple(
            Source(database.path.name, database.sha256(), database.built) for database in databases
        ),
    )


def _codes(
    database: Database, networks: Networks, version: Version, cities: Cities
) -> NDArray[np.int32]:
    """Return the city code of each network; every distinct record is read once."""
    chosen, addresses = database.samples(networks, version)
    offsets = networks.records - networks.records.min()
    codes = np.zeros(int(offsets.max()) + 1, np.int32)
    codes[offsets[chosen]] = [
        cities.code(read_position(database.record(address))) for address in addresses
    ]
    return codes[offsets]


def _majority(
    blocks: NDArray[np.int64], codes: NDArray[np.int32], sizes: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return each block once, with the code that has the greatest size in it."""
    if not len(blocks):
        return blocks, codes
    order = np.lexsort((codes, blocks))
    blocks, codes, sizes = blocks[order], codes[order], sizes[order]
    first = np.flatnonzero(_changes(blocks) | _changes(codes))
    blocks, codes, sizes = blocks[first], codes[first], np.add.reduceat(sizes, first)
    order = np.lexsort((codes, sizes, blocks))
    blocks, codes = blocks[order], codes[order]
    last = np.append(_changes(blocks)[1:], True)
    return blocks[last], codes[last]


def _ranges(
    starts: NDArray[np.int64], lengths: NDArray[np.uint8], codes: NDArray[np.int32], bits: int
) -> Ranges:
    """Sort blocks of no more than ``bits`` and fill the gaps between them with code 0."""
    order = np.argsort(starts)
    starts, codes = starts[order], codes[order]
    ends = starts + (1 << (bits - lengths[order].astype(np.int64)))
    gaps = np.flatnonzero(ends != np.append(starts[1:], 1 << bits))
    starts = np.insert(starts, gaps + 1, ends[gaps])
    codes = np.insert(codes, gaps + 1, 0)
    return Ranges(np.append(0, starts), np.append(np.int32(0), codes))


def _blank(ranges: Ranges, first: int, last: int) -> Ranges:
    """Set blocks ``first`` to ``last`` to code 0."""
    starts, codes = ranges
    begin = np.searchsorted(starts, first, "left")
    resume = np.searchsorted(starts, last + 1, "right")
    return Ranges(
        np.concatenate((starts[:begin], [first, last + 1], starts[resume:])),
        np.concatenate((codes[:begin], [np.int32(0), codes[resume - 1]], codes[resume:])),
    )


def _merge(ranges: Ranges) -> Ranges:
    """Join neighbours of the same code, and leave out ranges of no size."""
    starts, codes = ranges
    sized = np.append(np.diff(starts) > 0, True)
    starts, codes = starts[sized], codes[sized]
    changed = _changes(codes)
    return Ranges(starts[changed], codes[changed])


def _changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell where a value differs from the one before; the first does."""
    return np.append(True, values[1:] != values[:-1])
