"""The benchmark's traffic: framed tracking events of about 300 bytes, the same for every run."""

import uuid
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from schemas.columns import arrow_schema, encode_batch

SITES = ("shop.example", "www.example", "jobs.example")
START_MS = 1_790_000_000_000
CHUNK = 50_000


def events(count: int, seed: int = 1) -> Iterator[list[bytes]]:
    """Yield ``count`` framed events in lists of at most CHUNK.

    Sixteen fields filled: pages and referrers follow a power law over 20,000 and 2,000 addresses,
    400 browsers, 300,000 networks, one event in twenty with consented coordinates.
    """
    random = np.random.default_rng(seed)
    pages = [_page(i) for i in range(20_000)]
    referrers = [f"https://host{i}.example/a/{i * 7}?q={i}" for i in range(2_000)]
    agents = [
        f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/{90 + i % 50}.0.{i}.0"
        for i in range(400)
    ]
    networks = random.integers(1 << 16, 223 << 16, 300_000)
    addresses = [f"{n >> 16}.{n >> 8 & 255}.{n & 255}.0" for n in networks.tolist()]
    for start in range(0, count, CHUNK):
        yield _chunk(random, min(CHUNK, count - start), pages, referrers, agents, addresses)


def _page(i: int) -> str:
    return f"https://shop.example/p/{i % 97}/item-{i}?utm_source=mail&ref={i}"


def _chunk(
    random: np.random.Generator,
    size: int,
    pages: list[str],
    referrers: list[str],
    agents: list[str],
    addresses: list[str],
) -> list[bytes]:
    def pick(values: list[str], skew: float) -> pa.Array:
        places = (len(values) * random.random(size) ** skew).astype(np.int64)
        return pa.array(values).take(pa.array(places))

    def hexes() -> pa.Array:
        return pa.array([f"{n:016x}" for n in random.integers(1 << 62, size=size).tolist()])

    located = random.random(size) < 0.05
    times = pa.array(START_MS + np.sort(random.integers(0, 86_400_000, size)), pa.timestamp("ms"))
    ids = random.bytes(16 * size)
    columns = {
        "event_id": pa.array(
            [str(uuid.UUID(bytes=ids[i : i + 16], version=4)) for i in range(0, 16 * size, 16)]
        ),
        "occurred_at": times,
        "received_at": times,
        "site": pick(list(SITES), 2.0),
        "type": pick(["page_view", "click", "search", "error"], 3.0),
        "name": pick(["", "buy"], 3.0),
        "page": pick(pages, 3.0),
        "referrer": pick(referrers, 3.0),
        "ip": pick(addresses, 1.5),
        "cookie_id": hexes(),
        "session_id": hexes(),
        "user_agent": pick(agents, 2.0),
        "latitude": pa.array(47 + 6 * random.random(size), mask=~located),
        "longitude": pa.array(2 + 8 * random.random(size), mask=~located),
        "location_consent": pa.array(located),
        "visitor": pa.array(random.integers(1 << 62, size=size)),
    }
    schema = arrow_schema("tracking_event")
    return encode_batch(
        "tracking_event",
        pa.record_batch(
            [columns.get(f.name, pa.nulls(size, f.type)).cast(f.type) for f in schema],
            schema=schema,
        ),
    )
