r"""Read one line of a web server's log (S8): Common or Combined Log Format.

    [virtual host] address ident user [time] "request" status bytes ["referrer" "user agent" ...]

Every request becomes one event, whatever its method and whatever it asked for: an ``error`` with
its status when that is 400 or more, else a ``page_view``. So a count over the file can be compared
with a count over the events. The page is the request's target as logged, query and all; the
anonymise lane cleans it.

What a reader may not expect: the user's name is not read, let alone published; fields after the
user agent are ignored; bytes that are no UTF-8, escaped (``\xff``) or not, become U+FFFD.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, NamedTuple

from privacy.contract import Problem
from streams.accesses import Answered

_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
# A name before the address is a virtual host only if the address that follows looks like one,
# since a user's name may hold spaces.
_LINE = re.compile(
    r"(?:\S+ (?=[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]* ))?"
    r"(?P<address>\S+) \S+ .*? \[(?P<time>[^\[\]]{1,40})\] "
    rf"(?P<request>{_QUOTED}) (?P<status>\d{{3}}) (?:\d+|-)"
    rf"(?: (?P<referrer>{_QUOTED}) (?P<agent>{_QUOTED})(?: .*)?)?",
    re.ASCII,
)
_TIME = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.ASCII
)
_REQUEST = re.compile(
    r"(?P<method>[A-Z][A-Z-]{0,31}) (?P<target>\S(?:.*\S)?) HTTP/\d(?:\.\d)?|GET (?P<old>\S+)"
)
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"v": b"\v"}
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Hit(NamedTuple):
    """What a line tells: the event, still unchecked, or why it is none, and what was answered.

    Both hold the address in full: the event must go through ``privacy.tracking.enter``, what was
    answered through ``streams.accesses``, before it goes anywhere.
    """

    event: dict[str, Any] | Problem
    answered: Answered


def parse(line: bytes) -> Hit | Problem:
    """Return what a line tells, or why it cannot be read.

    ``line`` comes without its line end. Takes time linear in its length.
    """
    found = _LINE.fullmatch(line.decode(errors="replace"))
    if found is None:
        return Problem("line", "is neither Common nor Combined Log Format")
    moment = _milliseconds(found["time"])
    if moment is None:
        return Problem("time", "must be a time like 10/Oct/2000:13:55:36 -0700")
    address = None if found["address"] == "-" else found["address"]
    status = int(found["status"])
    target = _REQUEST.fullmatch(_text(found["request"]) or "")
    if target is None:
        none = Problem("request", "is no HTTP request line")
        return Hit(none, Answered(moment, address, "", "", status))
    page = target["target"] or target["old"]
    event = {
        "type": "page_view",
        "occurred_at": moment,
        "page": page,
        "referrer": _text(found["referrer"]),
        "user_agent": _text(found["agent"]),
        "ip": address,
    }
    if status >= 400:
        event |= {"type": "error", "status": status}
    return Hit(event, Answered(moment, address, target["method"] or "GET", page, status))


def _text(quoted: str | None) -> str | None:
    """Take quotes and escapes off a field; None when it was not there or empty (``-``)."""
    if quoted is None or quoted in ('"-"', '""'):
        return None
    text = quoted[1:-1]
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_unescape, text.encode()).decode(errors="replace")


def _unescape(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return bytes.fromhex(escape[1].decode())
    return _CONTROLS.get(escape[2], escape[2])


@lru_cache(maxsize=1024)  # requests of one second have the same time
def _milliseconds(text: str) -> int | None:
    """Return milliseconds since 1970; None when the text is no time in the calendar."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    day, year, hour, minute, second, zone_hours, zone_minutes = (
        int(found[group]) for group in (1, 3, 4, 5, 6, 8, 9)
    )
    offset = timedelta(hours=zone_hours, minutes=zone_minutes)
    try:
        zone = timezone(offset if found[7] == "+" else -offset)
        month = _MONTHS.index(found[2]) + 1
        moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1)
