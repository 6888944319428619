"""What is told of a log's lines to who looks for attacks, whatever becomes of their events (S8)."""

import io
from typing import Any

import pytest

from lethe.intake import Intake
from lethe.logs.place import Place
from lethe.logs.source import Source
from lethe.tally import Tally
from privacy.abuse import Access, Attack, Rules, Watch
from privacy.pseudonym import address_token
from schemas.codec import decode
from sinks.publish import MemoryPublisher
from streams.accesses import UNREADABLE, Accesses

ADDRESS = "192.0.2.7"
LONG = "x" * 3_000
TLS = r"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.fixture
def intake(intake: Intake, telling: Accesses) -> Intake:
    """Return the intake of a log."""
    intake._accesses = telling
    return intake


def line(
    request: str, status: int, at: int = 0, *, address: str = ADDRESS, referrer: str = "-"
) -> str:
    """Return a line of a log, ``at`` seconds after 09:30."""
    minute, second = divmod(30 * 60 + at, 60)
    clock = f"22/Oct/2026:09:{minute:02}:{second:02} +0000"
    return f'{address} - ann [{clock}] "{request}" {status} 0 "{referrer}" "Browser/1.0"\n'


def told(intake: Intake, publisher: MemoryPublisher, lines: str) -> list[dict[str, Any]]:
    source = Source(io.BytesIO(lines.encode()), "shop.example", "access", Place())
    intake.take_all(source.candidates(), lambda: None)
    stored = publisher.stored
    assert not [each for _, each in stored if ADDRESS.encode() in each.value]
    return [decode("access", each.value) for topic, each in stored if topic == "access-log"]


@pytest.mark.parametrize(
    ("request_line", "status", "expected"),
    [
        (f"GET /backup.zip?{LONG} HTTP/1.1", 404, ("GET", "/backup.zip")),
        (f"GET /old/{LONG} HTTP/1.1", 404, ("GET", "/old")),
        (f"GET /{LONG} HTTP/1.1", 404, ("GET", UNREADABLE)),
        (f"GET /{LONG} HTTP/1.1", 414, ("GET", "")),
        (TLS, 400, ("OTHER", "")),
        (TLS, 404, ("OTHER", UNREADABLE)),
        ("-", 408, ("OTHER", "")),
    ],
)
def test_what_is_no_event_is_told_and_refused_as_before(
    intake: Intake, publisher: MemoryPublisher, tally: Tally, telling: Accesses,
    request_line: str, status: int, expected: tuple[str, str],
) -> None:  # fmt: skip
    (access,) = told(intake, publisher, line(request_line, status))
    assert (access["method"], access["path"]) == expected
    ((_, salt),) = telling.salts.kept()
    assert access["token"] == address_token(salt, ADDRESS)
    assert (access["status"], access["site"]) == (status, "shop.example")
    assert (tally.published, tally.refused) == (0, 1)


def test_what_was_asked_never_gets_through_unmasked(
    intake: Intake, publisher: MemoryPublisher
) -> None:
    """Nor half of it: where a page is cut, what is left of an e-mail address looks like none."""
    for filler in range(1_990, 2_060):
        request = f"GET /list/{'y' * filler}/ann-smith@shop.example/a HTTP/1.1"
        accesses = told(intake, publisher, line(request, 404))
    paths = {each["path"] for each in accesses}
    assert paths <= {"/list/:long/:email/a", "/list/:long/:email", "/list/:long", "/list"}
    assert len(paths) > 2, "the cut is tried on both sides of the address"


def test_a_server_whose_clock_is_wrong_is_told_of(
    intake: Intake, publisher: MemoryPublisher, tally: Tally
) -> None:
    ahead = line("GET /a HTTP/1.1", 404).replace("/2026:", "/2027:")
    endless = line("GET /a HTTP/1.1", 404).replace("22/Oct/2026", "31/Dec/9999")
    ancient = line("GET /a HTTP/1.1", 404).replace("/2026:", "/1999:")
    found = told(intake, publisher, ahead + endless + ancient)
    assert [each["at"].year for each in found] == [2026, 2026, 1999]
    assert tally.refused == 3


@pytest.mark.parametrize("address", ["client.example", "-"])
def test_who_has_no_address_counts_without_a_token(
    intake: Intake, publisher: MemoryPublisher, address: str
) -> None:
    (access,) = told(intake, publisher, line("GET /a HTTP/1.1", 500, address=address))
    assert (access["token"], access["status"]) == (None, 500)


def test_nobody_hides_behind_a_referrer(intake: Intake, publisher: MemoryPublisher) -> None:
    """A web server takes 8 KiB of each, and writes what is no text as four characters."""
    referrer, target = r"\xff" * 8_000, r"\xff" * 7_000
    (access,) = told(intake, publisher, line(f"GET /a/{target} HTTP/1.1", 404, referrer=referrer))
    assert access["path"] == "/a"


def test_a_line_without_address_time_or_status_is_counted_alone(
    intake: Intake, publisher: MemoryPublisher, tally: Tally
) -> None:
    good = line("GET /a HTTP/1.1", 404)
    for bad in (
        good.replace("22/Oct", "31/Feb"), good.replace(" 404 ", " 4 "), good.removeprefix(ADDRESS),
    ):  # fmt: skip
        assert not told(intake, publisher, bad)
    assert (tally.published, tally.refused) == (0, 3)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (Attack.SCAN, [line(f"GET /b-{n}.zip?{LONG} HTTP/1.1", 404, n) for n in range(30)]),
        (Attack.BRUTE_FORCE, [line(f"POST /login?{LONG} HTTP/1.1", 401, n) for n in range(40)]),
        (Attack.FLOOD, [line(TLS, 400, n // 20) for n in range(400)]),
        (Attack.FLOOD, [line("-", 408, n // 20) for n in range(400)]),
        (Attack.ERRORS, [line(f"GET /{LONG}{n} HTTP/1.1", 502, n // 4) for n in range(80)]),
    ],
)
def test_attacks_made_of_what_is_no_event_are_found(
    intake: Intake, publisher: MemoryPublisher, kind: Attack, lines: list[str]
) -> None:
    watch = Watch(Rules())
    found = {
        alert.kind
        for each in told(intake, publisher, "".join(lines))
        for alert in watch.see(
            Access(
                round(each["at"].timestamp() * 1_000),
                each["site"], each["token"], each["method"], each["path"], each["status"],
            )
        )
    }  # fmt: skip
    assert found == {kind}


def test_where_a_log_begins_does_not_change_with_what_is_told() -> None:
    """Else each place that was saved before would be of no log that there is."""
    first = line("-", 408) + line("GET /a HTTP/1.1", 200, 7)
    place = Place()
    (empty, good) = Source(io.BytesIO(first.encode()), "", "", place).candidates()
    assert empty.answered is not None
    assert place.began == good.event["occurred_at"] == empty.answered.at + 7_000
    assert empty.event_id != good.event_id
