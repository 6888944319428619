"""Whatever bytes come, the collector answers 4xx, publishes nothing of them and goes on."""

import json
import socket
from http.client import HTTPConnection
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy.tracking import FIELDS, TYPES

GOOD = {
    "type": "error",
    "page": "https://shop.example/tea",
    "cookie_id": "c-1",
    "status": 404,
    "latitude": 51.5,
    "consent_epoch": 1,
    "ad_ids": {"fbp": "fb.1.1.1"},
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=8,
)
wrong = {
    "type": anything.filter(lambda value: value not in TYPES),
    "event_id": st.text(max_size=35) | st.integers(),
    "occurred_at": st.floats() | st.text(max_size=15) | st.integers(max_value=10**11),
    "name": st.text(min_size=65) | st.integers(),
    "page": st.just("a\0b") | st.text(min_size=2049, max_size=2100) | st.lists(st.text()),
    "cookie_id": st.just("") | st.just("a b") | st.text("é\n ", min_size=1) | st.booleans(),
    "status": st.integers(max_value=99) | st.integers(min_value=600) | st.floats() | st.booleans(),
    "latitude": st.floats(min_value=90.1) | st.text() | st.booleans() | st.just(float("nan")),
    "location_consent": st.integers() | st.text(),
    "consent_epoch": st.integers(max_value=0) | st.text(),
    "ad_ids": st.text() | st.dictionaries(st.text(max_size=3), st.text(), min_size=1),
}
strangers = st.text().filter(lambda name: name not in FIELDS)

spoiled_events = st.one_of(
    st.sampled_from(sorted(wrong)).flatmap(
        lambda name: wrong[name].map(lambda value: {**GOOD, name: value})
    ),
    st.tuples(strangers, anything).map(lambda pair: {**GOOD, pair[0]: pair[1]}),
    anything.filter(lambda value: not isinstance(value, dict)),
)
malformed = st.one_of(
    st.tuples(spoiled_events, st.integers(0, 3), st.integers(0, 3)).map(
        lambda made: json.dumps([GOOD] * made[1] + [made[0]] + [GOOD] * made[2]).encode()
    ),
    st.integers(0, len(json.dumps(GOOD)) - 1).map(lambda cut: json.dumps(GOOD).encode()[:cut]),
    st.binary().map(lambda junk: b"\xff" + junk),
    st.binary().map(lambda junk: json.dumps(GOOD).encode() + b"\0" + junk),
    st.text().map(lambda text: json.dumps(text).encode()),
)


@pytest.fixture
def connection(live: Any) -> Any:
    with_timeout = HTTPConnection(live.host, live.port, timeout=10)
    yield with_timeout
    with_timeout.close()


@settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=malformed)
def test_a_malformed_body_is_refused_and_nothing_of_it_published(
    live: Any, connection: HTTPConnection, body: bytes
) -> None:
    before = len(live.publisher.stored)
    headers = {"Content-Type": "application/json", "X-Lethe-Key": "shop-key"}
    connection.request("POST", "/v1/events", body, headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status in {400, 413, 422}
    assert answer["error"]
    assert len(live.publisher.stored) == before


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS on a plain port
        b"POST /v1/events HTTP/9.9\r\n\r\n",
        b"P\0ST /v1/events HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX-Lethe-Key: a\0b\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{",
        (
            b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        (
            b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX-Lethe-Key: shop-key\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        ),
    ],
)
def test_malformed_http_is_refused_and_the_next_request_served(
    live: Any, connection: HTTPConnection, junk: bytes
) -> None:
    with socket.create_connection((live.host, live.port), timeout=10) as stranger:
        stranger.sendall(junk)
        assert stranger.recv(12) in {b"HTTP/1.1 400", b"HTTP/1.0 400"}
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
