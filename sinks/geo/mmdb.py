"""Read a whole MaxMind DB at once: its search tree as numpy arrays, level by level.

The reader of the ``maxminddb`` package answers one address, or iterates 8 M networks in a minute;
walking the tree in arrays takes a second. Format: https://maxmind.github.io/MaxMind-DB/.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Any, Literal

import maxminddb
import numpy as np
from numpy.typing import NDArray

from sinks.geo import GeoError

Version = Literal[4, 6]
BITS: dict[Version, int] = {4: 32, 6: 128}

_SEPARATOR = 16  # zero bytes between the search tree and the data section


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks of one IP version that have a record, in no particular order.

    ``addresses``: first address of each, (n, 2) uint64, high and low half; IPv4 stands in the
    topmost 32 bits. ``lengths``: prefix length in bits. ``records``: where each network's record
    lies; networks with the same value share one record.
    """

    addresses: NDArray[np.uint64]
    lengths: NDArray[np.uint8]
    records: NDArray[np.uint32]


class Database:
    """One open ``.mmdb`` file. Raises GeoError when it is none, or damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = maxminddb.open_database(path)
        except (OSError, maxminddb.InvalidDatabaseError, ValueError) as error:
            raise GeoError(f"{path.name}: no readable MaxMind DB: {error}") from error
        about = self._reader.metadata()
        self.kind = about.database_type
        self.built = about.build_epoch
        self._nodes = about.node_count
        self._record_bits = about.record_size
        self._ip_version = about.ip_version
        node_bytes = self._record_bits // 4
        if self._record_bits not in {24, 28, 32} or self._ip_version not in BITS:
            raise GeoError(f"{path.name}: unknown record size or IP version")
        content = np.asarray(np.memmap(path, np.uint8, "r"))
        tree_bytes = self._nodes * node_bytes
        self._data_bytes = len(content) - tree_bytes - _SEPARATOR
        if self._data_bytes <= 0:
            raise GeoError(f"{path.name}: shorter than its search tree; get it again")
        self._tree = content[:tree_bytes].reshape(-1, node_bytes)

    def sha256(self) -> str:
        """Hash the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def networks(self, version: Version) -> Networks:
        """Return every network of the IP version that has a record.

        An IPv6 tree reaches its IPv4 networks under ``::/96`` and again under aliases
        (``::ffff:0:0/96``, ``2002::/16``, ``2001::/32``); here they count as IPv4 only.
        """
        ipv4_root = self._ipv4_root()
        if version == 4:
            levels = list(self._levels(ipv4_root, BITS[4], skip=None))
        elif self._ip_version == 6:
            levels = list(self._levels(0, BITS[6], skip=ipv4_root))
        else:
            levels = []
        if not levels:
            return Networks(np.zeros((0, 2), np.uint64), np.zeros(0, np.uint8), np.zeros(0, "u4"))
        addresses, lengths, records = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        return Networks(addresses, lengths, records)

    def samples(self, networks: Networks, version: Version) -> tuple[NDArray[np.intp], list[str]]:
        """Return the distinct records, as an index into ``networks.records``, and an address of each."""
        offsets = networks.records - np.uint32(self._nodes)
        seen = np.full(int(offsets.max(initial=0)) + 1, -1, np.intp)
        seen[offsets] = np.arange(len(offsets))
        chosen = seen[seen >= 0]
        size, family = (4, AF_INET) if version == 4 else (16, AF_INET6)
        packed = networks.addresses[chosen].astype(">u8").tobytes()
        return chosen, [
            inet_ntop(family, packed[at : at + size]) for at in range(0, len(packed), 16)
        ]

    def record(self, address: str) -> Any:
        """Return the record of an address."""
        try:
            return self._reader.get(address)
        except (maxminddb.InvalidDatabaseError, ValueError) as error:
            raise GeoError(f"{self.path.name}: damaged data section; get it again") from error

    def _levels(
        self, root: int, bits: int, skip: int | None
    ) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.uint32]]]:
        """Walk down from a root; yield the networks that end at each depth."""
        records = np.array([root], np.uint32)
        addresses = np.zeros((1, 2), np.uint64)
        visited = 0
        for depth in range(bits + 1):
            ends = records > self._nodes
            if ends.any():
                found = records[ends]
                self._require(found >= self._nodes + _SEPARATOR, "points before its data")
                self._require(
                    found - (self._nodes + _SEPARATOR) < self._data_bytes, "points past its data"
                )
                yield addresses[ends], np.full(len(found), depth, np.uint8), found
            inner = records < self._nodes
            if skip is not None:
                inner &= records != skip
            if not inner.any():
                return
            self._require(depth < bits, "goes on after the last bit")
            visited += np.count_nonzero(inner)
            self._require(visited <= self._nodes, "has a loop")
            records = self._children(records[inner]).ravel()
            addresses = np.repeat(addresses[inner], 2, axis=0)
            half, bit = divmod(depth, 64)
            addresses[1::2, half] |= np.uint64(1 << (63 - bit))

    def _require(self, holds: Any, otherwise: str) -> None:
        if not np.all(holds):
            raise GeoError(f"{self.path.name}: its search tree {otherwise}; get it again")

    def _children(self, nodes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return the left and right record of each node, (n, 2)."""
        rows = self._tree[nodes]
        words = np.zeros((len(rows), 2, 4), np.uint8)
        whole = self._record_bits // 8
        words[:, 0, -whole:] = rows[:, :whole]
        words[:, 1, -whole:] = rows[:, -whole:]
        if self._record_bits == 28:  # the byte in the middle holds the topmost 4 bits of both
            words[:, 0, 0] = rows[:, 3] >> 4
            words[:, 1, 0] = rows[:, 3] & 15
        return words.view(">u4")[:, :, 0].astype(np.uint32)

    def _ipv4_root(self) -> int:
        record = 0
        for _ in range(96 if self._ip_version == 6 else 0):
            if record >= self._nodes:
                break
            record = int(self._children(np.array([record], np.uint32))[0, 0])
        return record
