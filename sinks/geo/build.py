"""Build one table of city codes from MaxMind databases."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sinks.geo.cities import Cities, read_position
from sinks.geo.errors import GeoError
from sinks.geo.flatten import BLOCK_BITS, flatten
from sinks.geo.geonames import Geonames
from sinks.geo.mmdb import Database, Version
from sinks.geo.publishers import publisher_of
from sinks.geo.table import About, Ranges, Source, Table

Progress = Callable[[str, float], None]  # what is being done, share of the whole done so far


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
        progress(
            f"reading IPv{version} networks of {database.path.name}", 0.1 + 0.8 * i / len(steps)
        )
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


def _read(database: Database, version: Version, cities: Cities) -> Ranges | None:
    networks = database.networks(version, BLOCK_BITS[version])
    if not len(networks.records):
        return None
    codes = _codes(database, networks.records, cities)
    return flatten(networks.blocks, networks.lengths, codes, version)


def _codes(database: Database, records: NDArray[np.uint32], cities: Cities) -> NDArray[np.int32]:
    """Return the city code of each network's record; every distinct one is read once."""
    lowest = int(records.min())
    offsets = records - np.uint32(lowest)
    # A table by offset, where ``np.unique`` would sort millions.
    codes = np.zeros(int(offsets.max()) + 1, np.int32)
    met = np.zeros(len(codes), np.bool_)
    met[offsets] = True
    distinct = np.flatnonzero(met)
    codes[distinct] = [
        cities.code(read_position(database.record(lowest + offset))) for offset in distinct.tolist()
    ]
    return codes.take(offsets)


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
