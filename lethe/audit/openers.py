"""Files into bytes that can be searched: as they lie, and opened where they are compressed."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

Reading = tuple[str, bytes]  # how it was opened, and what came out

# Kafka's record batch, message format 2: offset 8, length 4, epoch 4, magic 1, crc 4,
# attributes 2, and 38 bytes of counts and times before the records.
_BATCH_HEAD = 61
_KAFKA_CODECS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

# ClickHouse's block: checksum 16, method 1, size with these nine bytes 4, size when opened 4.
_BLOCK_HEAD = 25
_CLICKHOUSE_CODECS = {0x82: "lz4_raw", 0x90: "zstd"}
_CLICKHOUSE_PLAIN = 0x02


def readings(path: Path, content: bytes) -> Iterator[Reading]:
    """Yield the file as it lies and every compressed thing in it that we know how to open."""
    yield "as it lies", content
    if path.suffix == ".gz":
        try:
            yield "gzip", gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return
    elif path.suffix == ".log" and content[16:17] == b"\x02":
        yield from record_batches(content)
    elif path.name == "kafka.json":
        yield from _embedded_broker(content)
    else:
        yield from _blocks(content)


def record_batches(content: bytes) -> Iterator[Reading]:
    """Open the record batches of a Kafka log segment, one after another."""
    at = 0
    while at + _BATCH_HEAD <= len(content):
        size = 12 + int.from_bytes(content[at + 8 : at + 12], "big")
        batch = content[at : at + size]
        if size <= _BATCH_HEAD or len(batch) < size:
            return
        codec = _KAFKA_CODECS.get(int.from_bytes(batch[21:23], "big") & 7)
        records = batch[_BATCH_HEAD:]
        if codec is None:
            yield "record batch", records
        else:
            try:
                opened = pa.CompressedInputStream(pa.BufferReader(records), codec).read()
            except OSError:
                return  # the end of a segment that is being written
            yield f"record batch, {codec}", opened
        at += size


def _embedded_broker(content: bytes) -> Iterator[Reading]:
    """Open the embedded broker's snapshot, which writes batches as lists of numbers."""
    for _, topic in json.loads(content)["topics"]:
        for _, partition in topic["partitions"]:
            for _, batch in partition["record_batches"]:
                yield from record_batches(bytes(batch))


def _blocks(content: bytes) -> Iterator[Reading]:
    """Open ClickHouse's compressed blocks, if the file is a row of them."""
    at = 0
    while at + _BLOCK_HEAD <= len(content):
        method = content[at + 16]
        size = int.from_bytes(content[at + 17 : at + 21], "little")
        opened = int.from_bytes(content[at + 21 : at + 25], "little")
        data = content[at + _BLOCK_HEAD : at + 16 + size]
        if size < 9 or len(data) != size - 9:
            return
        if method == _CLICKHOUSE_PLAIN:
            yield "block", data
        elif codec := _CLICKHOUSE_CODECS.get(method):
            try:
                yield f"block, {codec}", pa.decompress(data, opened, codec, asbytes=True)
            except (OSError, pa.ArrowInvalid):
                return
        else:
            yield "block, not opened", b""
        at += 16 + size
