"""The search finds what is planted, in every form, and nothing that only looks like it."""

import gzip
import json
from ipaddress import ip_address
from pathlib import Path

import pyarrow as pa
import pytest

from lethe.audit import search
from lethe.audit.needles import Needles
from schemas.codec import encode

V4 = "192.0.2.4"
V6 = "2001:db8:85a3:8d3:1319:8a2e:370:7348"


def hits(folder: Path, content: bytes, name: str = "data.bin") -> int:
    (folder / name).write_bytes(content)
    return len(search([folder], Needles([V4, V6])).hits)


@pytest.mark.parametrize(
    "content",
    [
        V4.encode(),
        b"x" + V4.encode() + b"x",
        b'{"ip":"192.0.2.4"}',
        b"\x12" + V4.encode() + b"\x00",
        b"the address was 192.0.2.4. Then",
        b"::ffff:192.0.2.4",
        b"::ffff:c000:204",
        V6.encode(),
        V6.upper().encode(),
        b"2001:0db8:85a3:08d3:1319:8a2e:0370:7348",
        b"[2001:db8:85a3:8d3:1319:8a2e:370:7348]:443",
        b"0" + V6.encode() + b"\x02",
        b"x" * 9 + ip_address(V6).packed + b"y",
    ],
)
def test_a_planted_address_is_found(tmp_path: Path, content: bytes) -> None:
    assert hits(tmp_path, content) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"192.0.2.45",
        b"1192.0.2.4",
        b"1.192.0.2.4",
        b"192.0.2.4.5",
        b"192.0.2.0",
        b"2001:db8:85a3::",
        b"2001:db8:85a3:8d3:1319:8a2e:370:734",
        ip_address(V4).packed,
    ],
)
def test_what_only_looks_like_it_is_not(tmp_path: Path, content: bytes) -> None:
    assert hits(tmp_path, content) == 0


def test_addresses_that_are_already_short_are_left_out_and_listed() -> None:
    needles = Needles(["192.0.2.0", V4])
    assert (needles.addresses, needles.left_out) == ([V4], ["192.0.2.0"])


def test_gzip_is_opened(tmp_path: Path) -> None:
    assert hits(tmp_path, gzip.compress(V4.encode()), "access.log.gz") == 1


def batch(records: bytes, codec: str | None) -> bytes:
    """Build a Kafka record batch as far as the search reads it."""
    if codec:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(records)
        records = sink.getvalue().to_pybytes()
    attributes = {None: 0, "gzip": 1, "lz4": 3, "zstd": 4}[codec]
    rest = b"\x00" * 4 + b"\x02" + b"\x00" * 4 + attributes.to_bytes(2, "big") + b"\x00" * 38
    return b"\x00" * 8 + (len(rest) + len(records)).to_bytes(4, "big") + rest + records


@pytest.mark.parametrize("codec", [None, "gzip", "lz4", "zstd"])
@pytest.mark.parametrize("broker", ["kafka", "embedded"])
def test_record_batches_are_opened(tmp_path: Path, codec: str | None, broker: str) -> None:
    event = {"event_id": "", "occurred_at": 0, "received_at": 0, "site": "", "type": "click"}
    value = encode("tracking_event", {**event, "ip": V6, "cookie_id": "filler" * 20})
    log = batch(b"nothing", codec) + batch(value * 3, codec)
    if broker == "kafka":
        assert hits(tmp_path, log, "00000000000000000000.log") >= 1
    else:
        batches = {"record_batches": [[0, list(log)]]}
        state = {"topics": [["t", {"partitions": [[0, batches]]}]]}
        assert hits(tmp_path, json.dumps(state).encode(), "kafka.json") == 1


@pytest.mark.parametrize(("codec", "method"), [("lz4_raw", 0x82), ("zstd", 0x90), (None, 0x02)])
def test_clickhouse_blocks_are_opened(tmp_path: Path, codec: str | None, method: int) -> None:
    def block(data: bytes) -> bytes:
        packed = pa.compress(data, codec, asbytes=True) if codec else data
        sizes = (len(packed) + 9).to_bytes(4, "little") + len(data).to_bytes(4, "little")
        return b"\x00" * 16 + bytes([method]) + sizes + packed

    plain = b"an address: " * 50 + V4.encode()
    unknown = b"\x00" * 16 + b"\x91" + (12).to_bytes(4, "little") + b"\x00" * 4 + b"abc"
    assert hits(tmp_path, block(b"nothing" * 20) + unknown + block(plain)) >= 1
