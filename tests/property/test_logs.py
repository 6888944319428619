"""Whatever a log holds, each line is an event or a refusal that tells nothing of it."""

import io
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.intake import Intake
from lethe.lines import read_lines
from lethe.logs.parse import parse
from lethe.logs.place import Place
from lethe.logs.source import Source
from lethe.tally import Tally
from privacy.contract import Problem
from privacy.pseudonym import Salt
from schemas.codec import decode
from sinks.publish import MemoryPublisher

NOW = 1_792_665_000_000

# Pieces of which lines are made that nearly are log lines.
PIECES = [
    b"192.0.2.7", b"2001:db8::7", b"-", b" ", b"  ", b"jane", b"[", b"]", b'"', b"\\", b'\\"',
    b"[22/Oct/2026:12:30:00 +0200]", b"GET / HTTP/1.1", b'"GET /a HTTP/1.1"', b"200", b"404",
    b"512", b'"https://blog.example/"', b'"Browser/1.0"', b"\x16\x03\x01", b"\xff", b"\x00", b"\r",
    "٢٠٠".encode(), "café".encode(), b"\\xff", b"\\n",
]  # fmt: skip
nearly_lines = st.lists(st.sampled_from(PIECES) | st.binary(max_size=5), max_size=30).map(b"".join)
GOOD = b'192.0.2.7 - jane [22/Oct/2026:09:30:00 +0000] "GET / HTTP/1.1" 200 5 "-" "B/1"'
broken = st.builds(
    lambda at, junk, cut: GOOD[:at] + junk + GOOD[at + cut :],
    st.integers(0, len(GOOD)),
    st.binary(max_size=8) | st.sampled_from(PIECES),
    st.integers(0, 8),
)
lines = nearly_lines | broken | st.just(GOOD) | st.binary(max_size=200)


@settings(max_examples=700)
@given(lines.map(lambda line: line.replace(b"\n", b"")))
def test_every_line_is_an_event_or_a_refusal(line: bytes) -> None:
    found = parse(line)
    if isinstance(found, Problem):
        assert found.field in ("line", "time")
        assert found.rule in {
            "is neither Common nor Combined Log Format",
            "must be a time like 10/Oct/2000:13:55:36 -0700",
        }
    elif isinstance(found.event, Problem):
        assert found.event == Problem("request", "is no HTTP request line")
    else:
        kind = "error" if found.answered.status >= 400 else "page_view"
        assert found.event["type"] == kind


@settings(max_examples=150)
@given(st.lists(lines, max_size=20).map(b"\n".join))
def test_no_line_is_lost_or_stops_the_rest(content: bytes) -> None:
    """And what is published holds no full address: no IPv4 address that does not end in .0."""
    publisher, tally = MemoryPublisher(), Tally()
    salt = Salt(b"k" * 32)
    intake = Intake(publisher, "t", "shop.example", tally, salt=lambda: salt, clock=lambda: NOW)
    source = Source(io.BytesIO(content), "shop.example", "access", Place())
    intake.take_all(source.candidates(), lambda: None)
    blank = sum(not line.rstrip(b"\r") for line in content.split(b"\n"))
    assert tally.lines == len(content.split(b"\n")) - blank
    assert len(publisher.stored) == tally.published
    for _, message in publisher.stored:
        address = decode("tracking_event", message.value)["ip"]
        assert address is None or address.endswith((".0", "::"))


@settings(max_examples=300)
@given(
    target=st.text(
        st.characters(exclude_categories=["C", "Z"], exclude_characters='"\\'), min_size=1
    ),
    status=st.integers(100, 599),
    user=st.text(string.ascii_letters + " []-", max_size=20),
    agent=st.text(string.printable.replace("\n", "").replace("\r", ""), max_size=40),
)
def test_what_a_server_writes_is_read_back(target: str, status: int, user: str, agent: str) -> None:
    escaped = agent.replace("\\", "\\\\").replace('"', '\\"')
    line = (
        f"192.0.2.7 - {user} [22/Oct/2026:09:30:00 +0000] "
        f'"GET /{target} HTTP/1.1" {status} 5 "-" "{escaped}"'
    )
    hit = parse(line.encode())
    assert not isinstance(hit, Problem)
    event = hit.event
    assert not isinstance(event, Problem)
    assert hit.answered[1:] == ("192.0.2.7", "GET", f"/{target}", status)
    assert event["page"] == f"/{target}"
    assert event["ip"] == "192.0.2.7"
    assert event.get("status", 200) == (status if status >= 400 else 200)
    assert event["user_agent"] == (agent if agent not in ("-", "") else None)


@settings(max_examples=300)
@given(st.binary(max_size=300).map(lambda noise: noise.replace(b"\x07", b"\n")), st.integers(1, 40))
def test_lines_add_up_to_the_file(content: bytes, longest: int) -> None:
    """Offsets, and so event ids, are right whatever the lines hold and however long they are."""
    found = list(read_lines(io.BytesIO(content), longest))
    assert sum(line.size for line in found) == len(content)
    place = 0
    for size, text in found:
        whole = content[place : place + size]
        assert text == (whole.rstrip(b"\r\n") if size <= longest else None)
        assert b"\n" not in whole[:-1]
        place += size
