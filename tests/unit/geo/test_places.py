"""Look-ups: batches of anything, and newer tables without a restart."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sinks.geo import GeoError, Places, table, table_path
from sinks.geo.sample import SAMPLE_CITIES
from sinks.geo.store import sample_table

BERLIN = (52.52, 13.41)

Town = tuple[str, str, float, float, float]  # country, city, latitude, longitude, population
WithTowns = Callable[..., Path]


@pytest.fixture
def with_towns(tmp_path: Path) -> WithTowns:
    """Write a table of towns and no networks."""
    nothing = table.Ranges(np.zeros(1, np.int64), np.zeros(1, np.int32))
    about = table.About("towns", "made up", "", "", None, (table.Source("towns", "", 0),))

    def write(*towns: Town) -> Path:
        columns = [np.array([town[i] for town in towns], np.float64) for i in (2, 3, 4)]
        points = table.Points(*columns, codes=np.arange(1, len(towns) + 1, dtype=np.int32))
        names = [("", ""), *((country, city) for country, city, *_ in towns)]
        path = tmp_path / "towns.npz"
        table.Table(about, names, nothing, nothing, points).save(path)
        return path

    return write


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places.open(sample_table(tmp_path_factory.mktemp("geo")))


def test_sample_cities_lie_where_they_are_said_to(places: Places) -> None:
    codes = places.locate([network.split("/")[0] for network, _, _ in SAMPLE_CITIES])
    assert [*zip(places.countries[codes], places.cities[codes], strict=True)] == [
        (country, city) for _, country, city in SAMPLE_CITIES
    ]
    assert len({city for _, _, city in SAMPLE_CITIES}) > 40


def test_sample_lies_where_a_worker_looks_for_its_table(tmp_path: Path) -> None:
    assert sample_table(tmp_path) == table_path(tmp_path)


def test_any_batch_is_answered_in_order(places: Places) -> None:
    """IPv4 and IPv6 mixed, None, garbage, and addresses that nobody shortened."""
    batch = [
        "2001:db8:2::", None, "192.0.2.0", "", "unknown", "2001:zz::", "192.0.2.7", "::",
        "198.51.100.0", "1.2.3", "\ud800", "2001:db8:2:7::1", "\ud800:", "10.1.2.0", "1.2.3.4\0",
    ]  # fmt: skip
    cities = places.cities[places.locate(batch)]
    assert list(cities) == [
        "Amsterdam", "", "Brussels", "", "", "", "Brussels", "",
        "Amsterdam", "", "", "Amsterdam", "", "", "",
    ]  # fmt: skip
    assert places.locate([]).tolist() == []
    assert places.locate([None]).tolist() == [0]


def test_blocks_beside_a_network_are_unknown(places: Places) -> None:
    beside = ["192.0.1.0", "192.0.3.0", "2001:db8::", "2001:db8:ffff::", "0.0.0.0", "255.255.255.0"]
    assert not places.locate([*beside, "ffff:ffff:ffff::"]).any()


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (math.nan, 13.41), (52.52, math.nan), (math.inf, 13.41), (52.52, -math.inf),
        (90.1, 13.41), (-90.1, 13.41), (52.52, 180.1), (52.52, -373.41), (0.0, 0.0), (0.0, -30.0),
    ],
)  # fmt: skip
def test_impossible_positions_are_unknown(
    places: Places, latitude: float, longitude: float
) -> None:
    pair = np.array([latitude, BERLIN[0]]), np.array([longitude, BERLIN[1]])
    assert places.cities[places.nearest(*pair)].tolist() == ["", "Berlin"]


def test_origin_is_unknown_though_a_town_is_near(with_towns: WithTowns) -> None:
    """(0, 0) is what broken devices send."""
    places = Places.open(with_towns(("XX", "Null", 0.1, 0.1, 1000.0)))
    assert places.nearest(np.array([0.0, 0.05]), np.array([0.0, 0.0])).tolist() == [0, 1]


def test_nothing_beyond_50_km(places: Places) -> None:
    """A degree of latitude is 111.2 km; Berlin is alone for more than that to its north."""
    north = BERLIN[0] + np.array([49.0, 51.0]) / 111.2
    assert places.cities[places.nearest(north, np.full(2, BERLIN[1]))].tolist() == ["Berlin", ""]


def test_a_city_reaches_farther_than_the_village_beside_it(with_towns: WithTowns) -> None:
    places = Places.open(
        with_towns(("DE", "City", 50.0, 10.0, 1_000_000.0), ("DE", "Village", 50.0, 10.2, 5_000.0))
    )
    # 8 km from the city's centre and 6 from the village's; then at the village.
    codes = places.nearest(np.array([50.0, 50.0]), np.array([10.115, 10.2]))
    assert places.cities[codes].tolist() == ["City", "Village"]


def test_positions_across_the_date_line_are_near(with_towns: WithTowns) -> None:
    places = Places.open(with_towns(("FJ", "East", -17.0, 179.95, 9_000.0)))
    assert places.nearest(np.array([-17.0]), np.array([-179.95])).tolist() == [1]


def test_a_table_without_towns_places_nothing(with_towns: WithTowns) -> None:
    places = Places.open(with_towns())
    assert places.nearest(np.array([52.5]), np.array([13.4])).tolist() == [0]


def test_a_newer_table_is_taken_and_the_old_one_stays_whole(with_towns: WithTowns) -> None:
    path = with_towns(("DE", "Old", 50.0, 10.0, 9_000.0))
    old = Places.open(path)
    assert old.refreshed() is old
    assert with_towns(("DE", "New", 50.0, 10.0, 9_000.0)) == path
    new = old.refreshed()
    assert (old.cities[1], new.cities[1]) == ("Old", "New")
    assert new.refreshed() is new


def test_a_table_that_was_taken_away_stays_in_use(with_towns: WithTowns) -> None:
    path = with_towns(("DE", "Old", 50.0, 10.0, 9_000.0))
    places = Places.open(path)
    path.unlink()
    assert places.refreshed() is places


def test_a_failed_save_leaves_the_present_table(
    with_towns: WithTowns, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_towns(("DE", "Old", 50.0, 10.0, 9_000.0))
    before = path.read_bytes()

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        with_towns(("DE", "New", 50.0, 10.0, 9_000.0))
    assert path.read_bytes() == before


def test_a_table_of_another_format_is_refused(
    with_towns: WithTowns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "FORMAT", table.FORMAT + 1)
    path = with_towns()
    monkeypatch.undo()
    with pytest.raises(GeoError, match="another version"):
        Places.open(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_damaged_table_is_refused_by_name(tmp_path: Path, share: float) -> None:
    """Wherever a bit is wrong, or the end is missing."""
    path = sample_table(tmp_path)
    content = path.read_bytes()
    at = int(len(content) * share)
    path.write_bytes(content[:at])
    with pytest.raises(GeoError, match=path.name):
        Places.open(path)
    middle = content.index(b"Brussels") if share < 0.5 else content.rindex(b"NUMPY") + 100
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(GeoError, match=path.name):
        Places.open(path)
