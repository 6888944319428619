"""What attackers send over real sockets: refused, bounded, and no matter to anybody else."""

import gzip
import json
import re
import socket
import zlib
from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from streams import listen
from streams.collector import door
from streams.collector.limits import Buckets

CORPUS = Path(__file__).parents[2] / "fuzz/corpus/http"
RAW = sorted(CORPUS.iterdir())
EVENT = {"type": "click", "cookie_id": "c-1"}
SHOP, BLOG, FOREIGN = "https://shop.example", "https://blog.example", "https://evil.example"

# Pages of sites may use these methods of these routes, and nothing else.
FOR_PAGES = {
    "/v1/events": {"POST"},
    "/v1/consent": {"GET", "HEAD", "POST"},
    "/v1/forms/{service}": {"POST"},
    "/v1/requests": {"POST"},
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
# By the site of the key that is sent: shop.example's.
OWN, OTHER, NOBODY = {SHOP, "https://m.shop.example"}, {BLOG}, {FOREIGN, "null", "*", ""}


@pytest.fixture
def stranger(live: Any) -> Iterator[socket.socket]:
    with socket.create_connection((live.host, live.port), timeout=10) as connection:
        yield connection


def answers(connection: socket.socket) -> list[int]:
    """Read until the server hangs up; return the statuses of all answers."""
    said = b""
    try:
        while piece := connection.recv(65_536):
            said += piece
    except ConnectionError:
        pass
    return [int(each) for each in re.findall(rb"HTTP/1\.[01] (\d{3}) ", said)]


@pytest.mark.parametrize("file", RAW, ids=[each.stem for each in RAW])
@pytest.mark.parametrize("pieces", [1, 2, 0], ids=["at once", "in two", "byte by byte"])
def test_ambiguous_http_is_refused_and_nothing_behind_it_is_taken(
    live: Any, stranger: socket.socket, file: Path, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer and a hang-up: a proxy that reads it otherwise smuggles nothing in."""
    monkeypatch.setattr(listen, "BODY_SECONDS", 0.2)
    before = len(live.publisher.stored)
    raw = file.read_bytes().replace(b"KEY", b"shop-key")
    size = max(1, len(raw) // pieces) if pieces else 1
    stranger.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for at in range(0, len(raw), size):
            stranger.sendall(raw[at : at + size])
    except ConnectionError:
        pass  # it has hung up already
    said = answers(stranger)
    assert all(400 <= status < 500 for status in said), said
    assert len(said) <= 1
    assert len(live.publisher.stored) == before


def test_the_corpus_would_be_served_if_it_were_not_ambiguous(live: Any) -> None:
    """What lies behind the first request of each file is a good one."""
    good = b"POST /v1/events HTTP/1.1\r\nHost: a.example\r\nX-Lethe-Key: shop-key\r\n"
    good += b"Content-Type: application/json\r\n"
    body = b"Content-Length: 17\r\n\r\n" + b'{"type": "click"}'
    behind = sum(body in file.read_bytes() for file in RAW)
    assert behind > 35
    with socket.create_connection((live.host, live.port), timeout=10) as connection:
        connection.sendall(good + body + good + b"Connection: close\r\n" + body)
        assert answers(connection) == [202, 202]


@pytest.mark.parametrize("raw", [b"X: " + b"a" * 20_000, b"\r\n".join([b"X: a"] * 300)])
def test_giant_headers_are_refused(stranger: socket.socket, raw: bytes) -> None:
    stranger.sendall(b"POST /v1/events HTTP/1.1\r\nHost: a\r\n" + raw + b"\r\n\r\n")
    assert answers(stranger) == [400]


def test_a_giant_path_is_refused(stranger: socket.socket) -> None:
    stranger.sendall(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answers(stranger) == [400]


BOMB = b"[" + b" " * 10_000_000 + b"]"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(BOMB)),
        ("x-gzip", gzip.compress(BOMB)),
        ("deflate", zlib.compress(BOMB)),
        ("gzip, gzip", gzip.compress(gzip.compress(BOMB))),
        ("br", b"\x8b\x01\x80{}\x03"),
        ("zstd", b"(\xb5/\xfd"),
        ("identity, gzip", gzip.compress(BOMB)),
        ("GZIP", gzip.compress(BOMB)),
    ],
)
async def test_nothing_compressed_is_taken_nor_unfolded(
    entrance: Any, coding: str, body: bytes
) -> None:
    response = await entrance.send(body, Content_Encoding=coding)
    assert response.status == 415
    assert (await entrance.send(body)).status == 400  # and not if it does not say so
    assert not entrance.publisher.stored


async def test_a_coding_in_a_second_line_counts_as_well(entrance: Any) -> None:
    lines = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    headers = [*lines, ("X-Lethe-Key", "shop-key"), ("Content-Type", "application/json")]
    response = await entrance.client.post("/v1/events", data=b"{}", headers=headers)
    assert response.status == 415


def test_a_compressed_transfer_is_refused(stranger: socket.socket) -> None:
    body = gzip.compress(json.dumps(EVENT).encode())
    stranger.sendall(
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX-Lethe-Key: shop-key\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    )
    assert answers(stranger) == [415]


def expected(route: str, method: str, origin: str | None) -> tuple[set[int] | None, bool]:
    """Return what is answered (None: whatever the route says) and whether the page may read it."""
    allowed = FOR_PAGES.get(route)
    if allowed is None:
        return None, False
    if method == "OPTIONS":
        if origin is None:
            return {204}, False
        return ({204}, True) if origin in OWN | OTHER else ({403}, False)
    if method not in allowed:
        return {405}, False
    if origin is None:
        return None, False
    return (None, True) if origin in OWN else ({403}, False)


async def test_every_cell_of_route_origin_and_method(enter: Any) -> None:
    """No page reads or sends anything but what its own site may."""
    entrance = await enter(rate=1e9, burst=10**9)
    resources = list(entrance.client.server.app.router.resources())
    routes = {each.canonical for each in resources}
    assert FOR_PAGES.keys() < routes
    cells = 0
    for route, method, origin in product(
        sorted(routes), METHODS, [*sorted(OWN | OTHER | NOBODY), None]
    ):
        path = route.format(service="sample-request", token="none")
        headers = {"X-Lethe-Key": "shop-key", "Content-Type": "application/json"}
        if origin is not None:
            headers["Origin"] = origin
        body = b"{}" if method in {"POST", "PUT", "PATCH"} else None
        response = await entrance.client.request(method, path, data=body, headers=headers)
        statuses, readable = expected(route, method, origin)
        where = f"{method} {route} of {origin}: {response.status}"
        if statuses is None:
            assert response.status not in {401, 403}, where
        else:
            assert response.status in statuses, where
        told = response.headers.get("Access-Control-Allow-Origin")
        assert told == (origin if readable else None), where
        assert "Access-Control-Allow-Credentials" not in response.headers, where
        if method == "OPTIONS" and readable:
            methods = set(response.headers["Access-Control-Allow-Methods"].split(", "))
            assert methods == FOR_PAGES[route], where
        else:
            assert "Access-Control-Allow-Methods" not in response.headers, where
        if route in FOR_PAGES and response.status != 405:
            assert response.headers["Vary"] == "Origin", where
        cells += 1
    assert cells == len(routes) * len(METHODS) * 8
    assert not entrance.publisher.stored


async def test_a_flood_of_ten_times_the_rate_is_turned_away_and_harms_nobody_else(
    enter: Any,
) -> None:
    entrance = await enter(rate=20, burst=20, trusted_hops=1)
    flood, good = [], []
    for number in range(400):
        response = await entrance.send(EVENT, X_Forwarded_For="192.0.2.66")
        flood.append(response)
        if number % 20 == 0:
            good.append(
                await entrance.send(EVENT, key="blog-key", X_Forwarded_For=f"198.51.100.{number}")
            )
    assert {each.status for each in good} == {202}
    assert {each.status for each in flood} == {202, 429}
    turned_away = [each for each in flood if each.status == 429]
    assert len(turned_away) > 200
    assert all(int(each.headers["Retry-After"]) >= 1 for each in turned_away)
    taken = len(flood) - len(turned_away) + len(good)
    assert len(entrance.events) == taken


async def test_many_addresses_are_remembered_within_bounds(
    enter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Buckets] = []

    def small(rate: float, burst: int) -> Buckets:
        made.append(Buckets(rate, burst, most=50))
        return made[-1]

    monkeypatch.setattr(door, "Buckets", small)
    entrance = await enter(rate=1e9, burst=10**9, trusted_hops=1)
    for number in range(200):
        await entrance.send(EVENT, X_Forwarded_For=f"198.51.{number}.1")
    assert sorted(map(len, made)) == [1, 50]  # of the site, of the addresses


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([("X-Forwarded-For", "192.0.2.7")], "192.0.2.0"),
        ([("X-Forwarded-For", "203.0.113.9, 192.0.2.7")], "192.0.2.0"),
        ([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "192.0.2.7")], "192.0.2.0"),
        ([("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=203.0.113.9")], None),
        ([("Forwarded", "for=203.0.113.9"), ("Forwarded", 'for="192.0.2.7:80"')], "192.0.2.0"),
        ([("Forwarded", 'for="203.0.113.9'), ("Forwarded", "for=192.0.2.7")], None),
        ([("X-Forwarded-For", "192.0.2.7, unknown")], None),
        ([("X-Forwarded-For", "")], None),
        ([("X-Forwarded-For", "' OR 1=1 --")], None),
        ([("X-Real-IP", "203.0.113.9"), ("X-Forwarded-For", "192.0.2.7")], "192.0.2.0"),
        ([("Client-IP", "203.0.113.9"), ("True-Client-IP", "203.0.113.9")], None),
        ([("X-Forwarded-For", ", " * 2_000 + "192.0.2.7")], "192.0.2.0"),
    ],
)
async def test_an_address_is_believed_of_our_own_proxy_alone(
    enter: Any, headers: list[tuple[str, str]], address: str | None
) -> None:
    entrance = await enter(trusted_hops=1)
    sent = [("X-Lethe-Key", "shop-key"), *headers]
    response = await entrance.client.post("/v1/events", json=EVENT, headers=sent)
    assert response.status == 202
    assert [each["ip"] for each in entrance.events] == [address]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:1", "a@evil.example", "[::1]"])
async def test_a_host_that_is_claimed_is_told_to_nobody(entrance: Any, host: str) -> None:
    for path in ("/", "/v1/events", "/openapi.json", "/nowhere", "/v1/requests/confirm/none"):
        response = await entrance.client.get(
            path, headers={"Host": host, "X-Forwarded-Host": host}, allow_redirects=False
        )
        assert response.status in {200, 404, 405}
        assert "evil" not in await response.text()
        assert "evil" not in str(response.headers)


def test_one_who_waits_with_the_body_keeps_nobody_waiting(live: Any) -> None:
    """Two hundred begin a body and stop there; somebody else is served at once."""
    begun = (
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX-Lethe-Key: shop-key\r\n"
        b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n["
    )
    slow = [socket.create_connection((live.host, live.port), timeout=10) for _ in range(200)]
    for each in slow:
        each.sendall(begun)
    connection = HTTPConnection(live.host, live.port, timeout=5)
    headers = {"X-Lethe-Key": "shop-key", "Content-Type": "application/json"}
    connection.request("POST", "/v1/events", json.dumps(EVENT), headers)
    assert connection.getresponse().status == 202
    connection.close()
    for each in slow:
        each.close()
