"""A database flattened in arrays says what its reader says, address by address."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import maxminddb
import numpy as np
import pytest

from privacy.network import shorten
from sinks.geo import GeoError, Places
from sinks.geo.build import build
from sinks.geo.mmdb import Database

Network = IPv4Network | IPv6Network
WriteMmdb = Callable[..., Path]
Layout = Callable[[str, str, float, float], Any]
Tabulate = Callable[..., Places]


BUILT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
METADATA = b"\xab\xcd\xefMaxMind.com"


def random_networks(bits: int, block: int, base: int, seed: int) -> Iterator[Network]:
    """Networks of all lengths in few neighbourhoods, so that many lie within one block."""
    rnd = random.Random(seed)
    for _ in range(150):
        length = rnd.choice([rnd.randint(10, block), rnd.randint(block, bits)])
        value = base | rnd.getrandbits(6) << (bits - block) | rnd.getrandbits(bits - block)
        yield ip_network((value ^ (rnd.getrandbits(8) << (bits - 18)), length), strict=False)


def most(networks: list[tuple[int, int, str]], block: Network) -> set[str]:
    """Return the cities that no other beats in a block, by count of addresses."""
    votes: Counter[str] = Counter()
    first, last = int(block.network_address), int(block.broadcast_address)
    for begin, end, city in networks:
        if begin <= last and end >= first:
            votes[city] += min(end, last) - max(begin, first) + 1
    best = max(votes.values(), default=0)
    return {city for city, count in votes.items() if count >= best * (1 - 1e-12)} or {""}


def city_of(record: Any) -> str:
    city = record["city"]
    return city if isinstance(city, str) else city["names"]["en"]


@pytest.mark.parametrize("size", [24, 28, 32])
@pytest.mark.parametrize("layout", ["flat", "nested"])
@pytest.mark.parametrize(
    ("version", "neighbourhood"), [(4, (32, 24, 82 << 24)), (6, (128, 48, 0x2A02 << 112))]
)
def test_table_equals_reader(
    version: int,
    neighbourhood: tuple[int, int, int],
    layout: str,
    size: int,
    *,
    write_mmdb: WriteMmdb,
    tabulate: Tabulate,
    request: pytest.FixtureRequest,
) -> None:
    """A block has its city by the reader, a split one the city of most of its addresses."""
    record: Layout = request.getfixturevalue(layout)
    # From large to small, so that a small one cuts a hole into the large one.
    networks = sorted(
        set(random_networks(*neighbourhood, seed=size)), key=lambda network: network.prefixlen
    )
    path = write_mmdb(
        {str(net): record("DE", f"City-{i % 60}", 80.0, 0.0) for i, net in enumerate(networks)},
        version=version,
        size=size,
    )
    places = tabulate(path)
    inside = [
        (int(network.network_address), int(network.broadcast_address), city_of(found))
        for network, found in maxminddb.open_database(path)
    ]
    blocks = {
        ip_network(f"{shorten(str(address))}/{neighbourhood[1]}")
        for network in networks
        for address in (network.network_address, network.broadcast_address + 1)
    }
    cities = places.cities[places.locate([str(block.network_address) for block in blocks])]
    assert len(blocks) > 100
    for block, city in zip(blocks, cities, strict=True):
        assert city in most(inside, block)


def test_ipv4_in_an_ipv6_tree_counts_once(
    write_mmdb: WriteMmdb, flat: Layout, tabulate: Tabulate
) -> None:
    path = write_mmdb(
        {
            "82.1.2.0/24": flat("DE", "Berlin", 52.5, 13.4),
            "2a02:8108::/32": flat("BE", "Ghent", 51.0, 3.7),
        }
    )
    networks = Database(path).networks(6, 48)
    assert len(networks.records) == 1
    assert maxminddb.open_database(path).get("2002:5201:200::") is not None  # the alias is there
    places = tabulate(path)
    codes = places.locate(["82.1.2.0", "82.1.3.0", "2a02:8108:7::", "2002:5201:200::"])
    assert list(places.cities[codes]) == ["Berlin", "", "Gent", ""]


def test_one_record_for_all_of_ipv4(
    write_mmdb: WriteMmdb, flat: Layout, tabulate: Tabulate
) -> None:
    """The IPv4 part may be no subtree but a record above it."""
    places = tabulate(write_mmdb({"::/8": flat("DE", "Berlin", 52.5, 13.4)}))
    assert places.cities[places.locate(["82.1.2.0"])[0]] == "Berlin"


@pytest.mark.parametrize(
    ("size", "row"),
    [
        (24, [0xFE, 0xDC, 0xBA, 0x12, 0x34, 0x56]),
        (28, [0xED, 0xCB, 0xA9, 0xF1, 0x23, 0x45, 0x67]),
        (32, [0xFE, 0xDC, 0xBA, 0x98, 0x12, 0x34, 0x56, 0x78]),
    ],
)
def test_records_use_all_their_bits(size: int, row: list[int]) -> None:
    """Databases with more than 2^24 nodes and bytes of data are too large for a test."""
    expected = {
        24: [0xFEDCBA, 0x123456],
        28: [0xFEDCBA9, 0x1234567],
        32: [0xFEDCBA98, 0x12345678],
    }
    database = object.__new__(Database)
    database._record_bits = size
    database._tree = np.array([row], np.uint8)
    assert database._children(np.zeros(1, np.uint32)).tolist() == [expected[size]]


def spoil_end(content: bytearray) -> None:
    del content[len(content) // 2 :]


def spoil_all(content: bytearray) -> None:
    content[:] = b"no database"


def empty(content: bytearray) -> None:
    content.clear()


def lose_the_tree(content: bytearray) -> None:
    del content[: nodes_in(content) * 6 + 16]
    del content[: content.rindex(METADATA) - 20]


def loop(content: bytearray) -> None:
    content[0:6] = bytes(6)  # both children of the root are the root: it doubles at each bit


def point_past_the_data(content: bytearray) -> None:
    content[0:3] = b"\xff\xff\xf0"


def point_into_the_separator(content: bytearray) -> None:
    content[0:3] = (nodes_in(content) + 3).to_bytes(3, "big")


def spoil_records(content: bytearray) -> None:
    start = nodes_in(content) * 6 + 16
    end = content.rindex(METADATA)
    content[start:end] = b"\xff" * (end - start)


def nodes_in(content: bytearray) -> int:
    return content.index(bytes(16)) // 6


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (spoil_end, "no readable MaxMind DB"),
        (spoil_all, "no readable MaxMind DB"),
        (empty, "no readable MaxMind DB"),
        (lose_the_tree, "no readable MaxMind DB"),
        (loop, "has a loop"),
        (point_past_the_data, "points past its data"),
        (point_into_the_separator, "points before its data"),
        (spoil_records, "damaged data section"),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    spoil: Callable[[bytearray], None],
    fault: str,
    write_mmdb: WriteMmdb,
    flat: Layout,
    tabulate: Tabulate,
) -> None:
    records = {f"{n}.2.0.0/16": flat("DE", "Berlin", 52.5, 13.4) for n in (130, 140, 150)}
    path = write_mmdb(records, version=4, size=24)
    content = bytearray(path.read_bytes())
    spoil(content)
    path.write_bytes(content)
    with pytest.raises(GeoError, match=rf"^city\.mmdb: .*{fault}"):
        tabulate(path)


@pytest.mark.parametrize("layout", ["flat", "nested"])
def test_damage_of_any_kind_is_refused_or_harmless(
    layout: str, write_mmdb: WriteMmdb, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Bytes overwritten anywhere, mostly in the data and metadata, never end in another error."""
    record: Layout = request.getfixturevalue(layout)
    records = {f"{n}.2.0.0/16": record("DE", f"City-{n}", 52.5, 13.4) for n in range(130, 140)}
    content = write_mmdb(records | {"2a02:1::/40": record("FR", "Paris", 48.8, 2.3)}).read_bytes()
    rnd = random.Random(layout)
    path = tmp_path / "damaged.mmdb"
    outcomes = set()
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(rnd.randint(1, 3)):
            damaged[rnd.randrange(rnd.choice([0, len(damaged) - 500]), len(damaged))] = (
                rnd.randrange(256)
            )
        path.write_bytes(damaged)
        try:
            outcomes.add(build([path], lambda _what, _share: None).about.built > BUILT_BEFORE)
        except GeoError as error:
            outcomes.add(str(error))
    assert len(outcomes) > 5


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(GeoError, match=r"^none\.mmdb: "):
        build([tmp_path / "none.mmdb"], lambda _what, _share: None)
