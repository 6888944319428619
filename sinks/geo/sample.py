"""Made-up networks of real cities, for trying out and for tests: no database needed.

Only documentation networks (RFC 5737, RFC 3849), so nobody's address is among them.
"""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network

import numpy as np

from sinks.geo.geonames import ATTRIBUTION
from sinks.geo.table import V4_BITS, V6_BITS, About, Points, Ranges, Source, Table

Name = tuple[str, str]  # country, city

# Country, city, position in degrees, population.
_CITIES = (
    ("BE", "Brussels", 50.85, 4.35, 1_019_022),
    ("NL", "Amsterdam", 52.37, 4.89, 741_636),
    ("FR", "Paris", 48.85, 2.35, 2_138_551),
    ("BE", "Antwerp", 51.22, 4.40, 529_247),
    ("BE", "Gent", 51.05, 3.72, 265_086),
    ("BE", "Liège", 50.63, 5.57, 195_278),
    ("BE", "Brugge", 51.21, 3.22, 118_509),
    ("BE", "Namur", 50.47, 4.87, 110_939),
    ("BE", "Leuven", 50.88, 4.70, 101_032),
    ("BE", "Dinant", 50.26, 4.91, 12_875),
    ("NL", "Rotterdam", 51.92, 4.48, 868_135),
    ("NL", "The Hague", 52.08, 4.30, 474_292),
    ("NL", "Utrecht", 52.09, 5.12, 376_435),
    ("NL", "Groningen", 53.22, 6.57, 244_807),
    ("NL", "Eindhoven", 51.44, 5.48, 235_691),
    ("NL", "Maastricht", 50.85, 5.69, 122_378),
    ("FR", "Marseille", 43.30, 5.38, 877_215),
    ("FR", "Lyon", 45.75, 4.85, 520_774),
    ("FR", "Toulouse", 43.60, 1.44, 511_684),
    ("FR", "Nantes", 47.22, -1.55, 325_070),
    ("FR", "Lille", 50.63, 3.06, 238_695),
    ("FR", "Colmar", 48.08, 7.36, 65_405),
    ("DE", "Berlin", 52.52, 13.41, 3_426_354),
    ("DE", "Hamburg", 53.55, 9.99, 1_973_896),
    ("DE", "Munich", 48.14, 11.58, 1_505_005),
    ("DE", "Köln", 50.93, 6.95, 1_024_621),
    ("DE", "Frankfurt am Main", 50.12, 8.68, 650_000),
    ("DE", "Leipzig", 51.34, 12.37, 504_971),
    ("DE", "Görlitz", 51.16, 14.99, 57_751),
    ("GB", "London", 51.51, -0.13, 8_961_989),
    ("GB", "Manchester", 53.48, -2.24, 568_996),
    ("GB", "Edinburgh", 55.95, -3.20, 514_990),
    ("GB", "Bristol", 51.46, -2.60, 479_024),
    ("GB", "Whitby", 54.49, -0.61, 13_213),
    ("LU", "Luxembourg", 49.61, 6.13, 76_684),
    ("ES", "Madrid", 40.42, -3.70, 3_255_944),
    ("ES", "Barcelona", 41.39, 2.16, 1_686_208),
    ("IT", "Rome", 41.89, 12.51, 2_318_895),
    ("IT", "Milan", 45.46, 9.19, 1_371_498),
    ("AT", "Vienna", 48.21, 16.37, 1_691_468),
    ("CH", "Zürich", 47.37, 8.55, 415_367),
)
# There are only three IPv4 documentation networks; every city has an IPv6 one.
_V4_NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")

_V6_NETWORKS = tuple(f"2001:db8:{n:x}::/48" for n in range(1, len(_CITIES) + 1))

# (network, country, city), from most to least visited; the first cities come twice.
SAMPLE_CITIES = tuple(
    (network, country, city)
    for networks in (_V4_NETWORKS, _V6_NETWORKS)
    for network, (country, city, *_) in zip(networks, _CITIES, strict=False)
)

_ABOUT = About(
    name="sample",
    attribution=f"Made-up networks. {ATTRIBUTION}",
    link="https://www.geonames.org",
    licence="CC BY 4.0",
    refuse_after_days=None,
    sources=(Source("sample", "", 1_780_272_000),),
)


def sample() -> Table:
    """Return a table of the made-up networks alone, and of the towns they lie in."""
    names = [("", ""), *((country, city) for country, city, *_ in _CITIES)]
    _, _, latitudes, longitudes, populations = zip(*_CITIES, strict=True)
    points = Points(
        np.array(latitudes, np.float64),
        np.array(longitudes, np.float64),
        np.array(populations, np.float64),
        np.arange(1, len(names), dtype=np.int32),
    )
    empty = Ranges(np.zeros(1, np.int64), np.zeros(1, np.int32))
    return laid_over(Table(_ABOUT, names, empty, empty, points))


def laid_over(table: Table) -> Table:
    """Return the table with the made-up networks in it.

    No visitor has an address for documentation, so this hides nobody's city, and what is simulated
    shows up under every table.
    """
    codes = {name: code for code, name in enumerate(table.names)}
    for _, country, city in SAMPLE_CITIES:
        codes.setdefault((country, city), len(codes))
    return replace(
        table,
        names=list(codes),
        v4=_painted(table.v4, V4_BITS, 4, codes),
        v6=_painted(table.v6, V6_BITS, 6, codes),
    )


def _painted(under: Ranges, bits: int, version: int, codes: Mapping[Name, int]) -> Ranges:
    blocks, colours = [], []
    for text, country, city in SAMPLE_CITIES:
        network = ip_network(text)
        if network.version == version:
            blocks.append(int(network.network_address) >> (network.max_prefixlen - bits))
            colours.append(codes[country, city])
    edges = np.array(blocks, np.int64)
    starts = np.union1d(under.starts, [edges, edges + 1])
    painted = under.codes[np.searchsorted(under.starts, starts, "right") - 1]
    painted[np.searchsorted(starts, edges)] = colours
    return Ranges(starts, painted)
