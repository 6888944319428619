"""Read a whole MaxMind DB at once: its search tree as numpy arrays, level by level.

The reader of the ``maxminddb`` package answers one address, or iterates 8 M networks in a minute;
walking the tree in arrays takes a second. Format: https://maxmind.github.io/MaxMind-DB/.
"""

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import maxminddb
import numpy as np
from maxminddb.decoder import Decoder
from numpy.typing import NDArray

from sinks.geo.errors import GeoError

Version = Literal[4, 6]
BITS: dict[Version, int] = {4: 32, 6: 128}

# What the reader raises on damaged files: not all of it is thought of.
_DAMAGED = (maxminddb.InvalidDatabaseError, ValueError, TypeError, LookupError, OverflowError)
_SEPARATOR = 16  # zero bytes between the search tree and the data section


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks of one IP version that have a record, in no particular order.

    ``blocks``: the first bits of each one's first address, as many as were asked for.
    ``lengths``: prefix length in bits. ``records``: what ``Database.record`` takes; networks with
    the same value share one record.
    """

    blocks: NDArray[np.int64]
    lengths: NDArray[np.uint8]
    records: NDArray[np.uint32]


class Database:
    """One open ``.mmdb`` file. Raises GeoError when it is none, or damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # The reader in C is quicker, but damaged files crash it (3.2), and the process with it.
            with maxminddb.open_database(path, maxminddb.MODE_MMAP) as reader:
                about = reader.metadata()
            datetime.fromtimestamp(about.build_epoch, UTC)  # raises when it is no time
            with path.open("rb") as file:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, *_DAMAGED) as error:
            raise GeoError(f"{path.name}: no readable MaxMind DB: {error}") from error
        self.kind = str(about.database_type)
        self.built = about.build_epoch
        self._nodes = about.node_count
        self._record_bits = about.record_size
        self._ip_version = about.ip_version
        self._tree = np.frombuffer(content, np.uint8, about.search_tree_size)
        self._tree = self._tree.reshape(-1, about.node_byte_size)
        self._data = about.search_tree_size + _SEPARATOR
        self._data_bytes = len(content) - self._data
        self._decoder = Decoder(content, self._data)

    def sha256(self) -> str:
        """Hash the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def networks(self, version: Version, bits: int) -> Networks:
        """Return every network of the IP version that has a record, told by its first ``bits``.

        An IPv6 tree reaches its IPv4 networks under ``::/96`` and again under aliases
        (``::ffff:0:0/96``, ``2002::/16``, ``2001::/32``); here they count as IPv4 only.
        """
        ipv4_root = self._ipv4_root()
        if version == 4:
            levels = list(self._levels(ipv4_root, BITS[4], bits, skip=None))
        elif self._ip_version == 6:
            levels = list(self._levels(0, BITS[6], bits, skip=ipv4_root))
        else:
            levels = []
        if not levels:
            return Networks(np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.uint32))
        return Networks(*(np.concatenate(parts) for parts in zip(*levels, strict=True)))

    def record(self, at: int) -> Any:
        """Return the record of networks whose ``records`` say ``at``."""
        try:
            return self._decoder.decode(at - self._nodes - _SEPARATOR + self._data)[0]
        except _DAMAGED as error:
            raise GeoError(f"{self.path.name}: damaged data section; get it again") from error

    def _levels(
        self, root: int, depths: int, bits: int, skip: int | None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint32]]]:
        """Walk down from a root; yield the networks that end at each depth."""
        records = np.array([root], np.uint32)
        blocks = np.zeros(1, np.int64)
        visited = 0
        for depth in range(depths + 1):
            ends = records > self._nodes
            if ends.any():
                found = records[ends]
                offsets = found.astype(np.int64) - self._nodes - _SEPARATOR
                self._require(offsets >= 0, "points before its data")
                self._require(offsets < self._data_bytes, "points past its data")
                yield blocks[ends], np.full(len(found), depth, np.uint8), found
            inner = records < self._nodes
            if skip is not None:
                inner &= records != skip
            if not inner.any():
                return
            self._require(depth < depths, "goes on after the last bit")
            visited += int(np.count_nonzero(inner))
            self._require(visited <= self._nodes, "has a loop")
            records = self._children(records[inner]).ravel()
            blocks = np.repeat(blocks[inner], 2)
            if depth < bits:
                blocks[1::2] |= 1 << (bits - 1 - depth)

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
        record = np.uint32(0)
        for _ in range(96 if self._ip_version == 6 else 0):
            if record >= self._nodes:
                break
            record = self._children(np.array([record]))[0, 0]
        return int(record)
