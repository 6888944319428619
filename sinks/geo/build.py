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
from sinks.geo.mmdb import BITS, Database, Networks, Version
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
    """What is read of a database's record, in either layout."""

    country: str
    city: str
    latitude: float
    longitude: float


def build(paths: Sequence[Path], progress: Progress) -> Table:
    """Build a table from databases of one publisher; each IP version comes from one of them.

    Raises GeoError when a file is no city database, is damaged, or fills a version twice.
    """
    databases = [Database(path) for path in paths]
    about = _about(databases)
    progress("reading place names", 0.02)
    cities = Cities(Geonames.load())
    found: dict[Version, Ranges] = {}
    for i, database in enumerate(databases):
        for version in BITS:
            share = (0.1 + 0.8 * (i + (version == 6) / 2) / len(databases))
            progress(f"reading IPv{version} networks of {database.path.name}", share)
            networks = database.networks(version)
            if not len(networks.records):
                continue
            if version in found:
                raise GeoError(f"{database.path.name}: IPv{version} is in another file already")
            found[version] = flatten(networks, _codes(database, networks, version, cities), version)
    if len(cities.names) == 1:
        raise GeoError(f"{', '.join(path.name for path in paths)}: no city in any record")
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
        # Records of one city differ by postcode and some hundred metres: ask once for all.
        key = position._replace(
            city=_DISTRICT.sub("", position.city),
            latitude=round(position.latitude, 1),
            longitude=round(position.longitude, 1),
        )
        code = self._known.get(key)
        if code is None:
            code = self._known[key] = self._resolve(key)
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
                code = self._places[place] = self._code_of(country, place.name)
                return code
        return self._code_of(country, city)

    def _code_of(self, country: str, city: str) -> int:
        code = self._codes.setdefault((country, city), len(self.names))
        if code == len(self.names):
            self.names.append((country, city))
        return code


def read_position(record: Any) -> Position:
    """Read a record of the flat layout (ip-location-db) or the nested one (GeoIP2, GeoLite2)."""
    if not isinstance(record, dict):
        return Position("", "", 0.0, 0.0)
    if "country_code" in record:
        country, city, where = record["country_code"], record.get("city"), record
    else:
        country = record.get("country", {}).get("iso_code")
        city = record.get("city", {}).get("names", {}).get("en")
        where = record.get("location", {})
    if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
        return Position("", "", 0.0, 0.0)
    return Position(
        country,
        city if isinstance(city, str) else "",
        float(where.get("latitude") or 0.0),
        float(where.get("longitude") or 0.0),
    )


def flatten(networks: Networks, codes: NDArray[np.int32], version: Version) -> Ranges:
    """Turn networks and their city codes into ranges of blocks (IPv4 /24, IPv6 /48).

    A block that is split takes the city of most of its located addresses: whoever looks up a
    shortened address can know no more (on DB-IP it is wrong for 0.5 % of IPv4 addresses).
    """
    bits = BLOCK_BITS[version]
    blocks = (networks.addresses[:, 0] >> np.uint64(64 - bits)).astype(np.int64)
    longer = networks.lengths.astype(np.int64) - bits
    split = longer > 0
    won_blocks, won_codes = _majority(blocks[split], codes[split], 0.5 ** longer[split])
    starts = np.concatenate((blocks[~split], won_blocks))
    sizes = np.concatenate((1 << -longer[~split], np.ones(len(won_blocks), np.int64)))
    ranges = _ranges(starts, sizes, np.concatenate((codes[~split], won_codes)), 1 << bits)
    for special in map(ip_network, SPECIAL[version]):
        first = int(special.network_address) >> (BITS[version] - bits)
        last = int(special.broadcast_address) >> (BITS[version] - bits)
        ranges = _blank(ranges, first, last)
    return _merge(ranges)


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
    starts: NDArray[np.int64], sizes: NDArray[np.int64], codes: NDArray[np.int32], end: int
) -> Ranges:
    """Sort and fill the gaps between with code 0. Up to ``end``, which is a gap's start too."""
    order = np.argsort(starts)
    starts, ends, codes = starts[order], (starts + sizes)[order], codes[order]
    starts = np.concatenate(([0], starts))
    codes = np.concatenate((np.zeros(1, np.int32), codes))
    gaps = np.flatnonzero(ends != np.append(starts[2:], end))
    return Ranges(np.insert(starts, gaps + 2, ends[gaps]), np.insert(codes, gaps + 2, 0))


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
