"""What each kind of log line becomes."""

import time

import pytest

from lethe.logs.parse import Hit, parse
from privacy.contract import Problem

AT = 1_792_665_000_000  # 2026-10-22T10:30:00Z
TIME = b"[22/Oct/2026:12:30:00 +0200]"
TAIL = b' 200 512 "https://search.example/?q=x" "Mozilla/5.0 (X11)"'


def event_of(line: bytes) -> dict[str, object]:
    hit = parse(line)
    assert not isinstance(hit, Problem), hit
    assert not isinstance(hit.event, Problem), hit
    return hit.event


def test_combined() -> None:
    line = b"192.0.2.7 - - " + TIME + b' "GET /shop?item=4 HTTP/1.1"' + TAIL
    assert event_of(line) == {
        "type": "page_view",
        "occurred_at": AT,
        "page": "/shop?item=4",
        "referrer": "https://search.example/?q=x",
        "user_agent": "Mozilla/5.0 (X11)",
        "ip": "192.0.2.7",
    }


def test_common() -> None:
    event = event_of(b"192.0.2.7 - - " + TIME + b' "GET / HTTP/1.0" 304 -')
    assert (event["page"], event["referrer"], event["user_agent"]) == ("/", None, None)


@pytest.mark.parametrize(
    ("status", "kind", "kept"),
    [
        (b"100", "page_view", None),
        (b"399", "page_view", None),
        (b"400", "error", 400),
        (b"404", "error", 404),
        (b"599", "error", 599),
    ],
)
def test_status_from_400_on_is_an_error(status: bytes, kind: str, kept: int | None) -> None:
    event = event_of(b"192.0.2.7 - - " + TIME + b' "POST /pay HTTP/1.1" ' + status + b" 0")
    assert (event["type"], event.get("status")) == (kind, kept)


@pytest.mark.parametrize(
    ("head", "address"),
    [
        (b"192.0.2.7 - -", "192.0.2.7"),
        (b"2001:db8::7 - -", "2001:db8::7"),
        (b"192.0.2.7 ident jane", "192.0.2.7"),
        (b"192.0.2.7 - jane doe [away]", "192.0.2.7"),
        (b"192.0.2.7 - jane [", "192.0.2.7"),
        (b"shop.example:443 192.0.2.7 - -", "192.0.2.7"),
        (b"shop.example:443 2001:db8::7 - jane doe", "2001:db8::7"),
        (b"shop.example 192.0.2.7 - -", "192.0.2.7"),
        (b"client.example - jane doe", "client.example"),
        (b"- - -", None),
    ],
)
def test_address_is_found_and_the_users_name_is_not_read(head: bytes, address: str | None) -> None:
    event = event_of(head + b" " + TIME + b' "GET / HTTP/1.1"' + TAIL)
    assert event["ip"] == address
    assert "jane" not in str(event)


@pytest.mark.parametrize(
    ("request_line", "page"),
    [
        (b"HEAD /a HTTP/1.1", "/a"),
        (b"GET http://shop.example/a HTTP/1.1", "http://shop.example/a"),
        (b"OPTIONS * HTTP/1.1", "*"),
        (b"M-SEARCH * HTTP/1.1", "*"),
        (b"GET /a b HTTP/2", "/a b"),
        (b"GET /old", "/old"),  # HTTP/0.9
        (rb"GET /say/\"hi\" HTTP/1.1", '/say/"hi"'),
        (rb"GET /back\\slash HTTP/1.1", "/back\\slash"),
        (rb"GET /caf\xc3\xa9 HTTP/1.1", "/café"),
        ("GET /café HTTP/1.1".encode(), "/café"),
        (rb"GET /\xff HTTP/1.1", "/\ufffd"),
        (b"GET /\xff HTTP/1.1", "/\ufffd"),
    ],
)
def test_page_is_the_target_as_logged(request_line: bytes, page: str) -> None:
    assert event_of(b'192.0.2.7 - - %s "%s"%s' % (TIME, request_line, TAIL))["page"] == page


@pytest.mark.parametrize(
    ("request_line", "field"),
    [
        (b"-", "request"),
        (b"", "request"),
        (rb"\x16\x03\x01\x02", "request"),
        (b"\x16\x03\x01\x02", "request"),
        (b"get / HTTP/1.1", "request"),
        (b"GET  HTTP/1.1", "request"),
        (b"USER jane", "request"),
    ],
)
def test_what_is_no_request_is_refused(request_line: bytes, field: str) -> None:
    hit = parse(b'192.0.2.7 - - %s "%s"%s' % (TIME, request_line, TAIL))
    assert isinstance(hit, Hit)
    assert isinstance(hit.event, Problem)
    assert hit.event.field == field
    assert hit.answered == (AT, "192.0.2.7", "", "", 200), "who asked, and nothing of what"


@pytest.mark.parametrize(
    "moment",
    [
        b"31/Feb/2026:12:30:00 +0200",
        b"22/Foo/2026:12:30:00 +0200",
        b"22/Oct/0000:12:30:00 +0200",
        b"22/Oct/2026:25:30:00 +0200",
        b"22/Oct/2026:12:30:60 +0200",
        b"22/Oct/2026:12:30:00 +2400",
        b"22/Oct/2026:12:30:00",
        b"2026-10-22T12:30:00Z",
        b"-",
    ],
)
def test_wrong_times_are_refused(moment: bytes) -> None:
    refusal = parse(b'192.0.2.7 - - [%s] "GET / HTTP/1.1"%s' % (moment, TAIL))
    assert refusal == Problem("time", "must be a time like 10/Oct/2000:13:55:36 -0700")


def test_the_first_and_last_minutes_of_the_calendar_do_not_overflow() -> None:
    for moment in (b"01/Jan/0001:00:00:00 +2359", b"31/Dec/9999:23:59:59 -2359"):
        assert isinstance(parse(b'- - - [%s] "GET / HTTP/1.1" 200 0' % moment), Hit)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"\x16\x03\x01",
        b"\x00" * 100,
        b"192.0.2.7 - - " + TIME,
        b"192.0.2.7 - - " + TIME + b' "GET / HTTP/1.1',
        b"192.0.2.7 - - " + TIME + b' "GET / HTTP/1.1" 20 5',
        b"192.0.2.7 - - " + TIME + b' "GET / HTTP/1.1" 200 5 "cut off',
        b"192.0.2.7 - - " + TIME + ' "GET / HTTP/1.1" ٢٠٠ 5'.encode(),
    ],
)
def test_other_lines_are_refused_whole(line: bytes) -> None:
    assert parse(line) == Problem("line", "is neither Common nor Combined Log Format")


def test_fields_after_the_user_agent_are_ignored() -> None:
    line = b"192.0.2.7 - - " + TIME + b' "GET / HTTP/1.1"' + TAIL + b' "198.51.100.9" 17'
    assert event_of(line)["user_agent"] == "Mozilla/5.0 (X11)"


@pytest.mark.parametrize("piece", [b" [", b' [x] "', b'"', b"\\", b" - ", b'\\\\" ', b'GET "'])
def test_no_line_takes_long(piece: bytes) -> None:
    """16 KB of what makes a careless pattern try every way; quadratic time would take seconds."""
    line = b"192.0.2.7 - - " + TIME + b' "GET ' + piece * (16_000 // len(piece))
    before = time.process_time()
    parse(line)
    assert time.process_time() - before < 1
