"""From networks of any length to ranges of address blocks: IPv4 /24, IPv6 /48."""

from ipaddress import ip_network
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinks.geo.mmdb import Version
from sinks.geo.table import V4_BITS, V6_BITS, Ranges

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


def flatten(
    blocks: NDArray[np.int64],
    lengths: NDArray[np.uint8],
    codes: NDArray[np.int32],
    version: Version,
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
