"""Made-up databases and place names: small, quick, and different from the real ones on purpose."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter, SearchTreeNode, TreeWriter
from netaddr import IPSet

from sinks.geo import Places, build
from sinks.geo.geonames import Geonames, Place

BUILT = 1_795_000_000  # 2026-11-18

PLACES = {
    Place(1, "DE", "Berlin", 52.52, 13.41, 3_400_000): (),
    Place(2, "DE", "Kreuzberg", 52.50, 13.39, 147_000): (),
    Place(3, "DE", "Köln", 50.93, 6.95, 1_000_000): ("Cologne", "Colonia", "Koln"),
    Place(4, "DE", "Potsdam", 52.40, 13.06, 180_000): (),
    Place(5, "FR", "Paris", 48.85, 2.35, 2_100_000): (),
    Place(6, "BE", "Gent", 51.05, 3.72, 265_000): ("Ghent", "Gand"),
    Place(7, "DE", "Halle (Saale)", 51.48, 11.97, 238_000): ("Halle",),
    Place(8, "DE", "Halle", 52.06, 8.36, 21_000): (),
    Place(10, "DE", "Neuhalle", 52.00, 8.40, 9_000): ("Halle",),
    Place(9, "JP", "日光", 36.72, 139.68, 90_000): ("Nikko",),
}

Records = Mapping[str, Any]  # network to record
Layout = Callable[[str, str, float, float], Any]  # country, city, latitude, longitude to record
WriteMmdb = Callable[..., Path]


class SizedTreeWriter(TreeWriter):
    """Writes records of a given size in bits, where the original takes the least that fits."""

    def __init__(self, size: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.size = size

    def _adjust_record_size(self) -> None:
        self.record_size = self.size


@pytest.fixture
def write_mmdb(tmp_path: Path) -> WriteMmdb:
    """Write a database: ``write_mmdb({network: record}, version=, size=, built=, kind=)``.

    Version 6 takes IPv4 networks too and reaches them by the usual aliases as well.
    """

    def write(
        records: Records,
        *,
        name: str = "city.mmdb",
        version: int = 6,
        size: int = 28,
        built: int = BUILT,
        kind: str = "DBIP-City-Lite",
    ) -> Path:
        writer = MMDBWriter(version, kind, ["en"], "made up", ipv4_compatible=version == 6)
        for network, record in records.items():
            writer.insert_network(IPSet([network]), record)
        if version == 6 and any(":" not in network for network in records):
            ipv4 = _descend(writer.tree, 0, 96)
            for prefix, bits in ((0xFFFF, 96), (0x2002 << 80, 16), (0x20010000 << 64, 32)):
                last = _descend(writer.tree, prefix, bits - 1)
                last[prefix >> (96 - bits) & 1] = ipv4
        path = tmp_path / name
        meta = {**writer._build_meta(), "build_epoch": built}
        SizedTreeWriter(size, writer.tree, meta).write(str(path))
        return path

    return write


@pytest.fixture
def flat() -> Layout:
    """Lay records out as ip-location-db does: one level."""

    def record(country: str, city: str, latitude: float, longitude: float) -> Any:
        return {
            "country_code": country,
            "state1": "Somewhere",
            "city": city,
            "postcode": "PC-98765",
            "latitude": latitude,
            "longitude": longitude,
        }

    return record


@pytest.fixture
def nested() -> Layout:
    """Lay records out as GeoIP2 and GeoLite2 do: names by language."""

    def record(country: str, city: str, latitude: float, longitude: float) -> Any:
        return {
            "country": {"iso_code": country, "names": {"en": "Country", "fr": "Pays"}},
            "city": {"geoname_id": 1, "names": {"fr": f"{city}-fr", "en": city}},
            "postal": {"code": "PC-98765"},
            "location": {"latitude": latitude, "longitude": longitude, "accuracy_radius": 20},
        }

    return record


@pytest.fixture
def tabulate(tmp_path: Path) -> Callable[..., Places]:
    """Build a table from databases and open it."""

    def build_and_open(*paths: Path) -> Places:
        table = tmp_path / "table.npz"
        build.build(paths, lambda _what, _share: None).save(table)
        return Places.open(table)

    return build_and_open


@pytest.fixture(autouse=True)
def few_places(monkeypatch: pytest.MonkeyPatch) -> Geonames:
    """Build with a handful of places instead of all 69,000."""
    geonames = Geonames()
    for place, alternates in PLACES.items():
        geonames.add(place, alternates)
    monkeypatch.setattr(build.Geonames, "load", lambda: geonames)
    return geonames


def _descend(node: SearchTreeNode, prefix: int, bits: int) -> SearchTreeNode:
    for depth in range(bits):
        node = node.get_or_create(prefix >> (95 - depth) & 1)
    return node
