"""What the security lane tells, and what it remembers from one life to the next."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from privacy.abuse import Rules
from privacy.outcome import Reason
from schemas.codec import decode, encode
from streams.lanes.security import SecurityLane

NOW = 1_795_000_000_000
TOKEN = "5f1d7a0c3b9e4a2286d4c1f07b83e96a"
MINUTE = 60_000

Put = Callable[..., None]


@pytest.fixture
def put(broker: Any) -> Put:
    """Put a refused log-in on the topic, answered ``at`` and stored by the broker ``later`` ms."""

    def tell(at: int, *, later: int = 5, **changes: object) -> None:
        record: dict[str, object] = {
            "id": "id", "at": at, "site": "shop.example", "token": TOKEN, "method": "POST",
            "path": "/login", "status": 401, "source": "log",
        }  # fmt: skip
        value = encode("access", record | changes)
        broker.put("access-log", TOKEN.encode(), value, at + later)

    return tell


@pytest.fixture
def live(broker: Any) -> Callable[..., None]:
    """Have a lane read all there is, and end."""

    def run() -> None:
        stop = threading.Event()
        SecurityLane(
            "access-log", "security-alerts", "dead-letters", Rules(), ["shop.example"],
            consumer=broker.consumer(stop.set), producer=broker.producer(),
            batch=7, wait=0.0, clock=lambda: NOW + 10 * MINUTE,
        ).run(stop)  # fmt: skip

    return run


@pytest.fixture
def alerts(broker: Any) -> Callable[[], list[dict[str, Any]]]:
    """Return the alerts there are."""
    return lambda: [decode("security_alert", each) for each in broker.values("security-alerts")]


def letters(broker: Any) -> list[tuple[str, int]]:
    found = [decode("dead_letter", each) for each in broker.values("dead-letters")]
    return [(each["reason"], each["offset"]) for each in found]


def test_an_attack_is_told_once_and_blocked_for_a_while(put: Put, live: Any, alerts: Any) -> None:
    for number in range(60):
        put(NOW + number * 1_000)
    live()
    (alert,) = alerts()
    assert (alert["kind"], alert["token"], alert["site"]) == ("brute_force", TOKEN, "shop.example")
    assert alert["count"] == 30
    assert alert["window_seconds"] == 300
    last = NOW + 29 * 1_000
    assert round(alert["at"].timestamp() * 1_000) == last
    assert round(alert["until"].timestamp() * 1_000) == last + 10 * MINUTE


def test_what_was_counted_outlives_the_lane(put: Put, live: Any, alerts: Any, broker: Any) -> None:
    """Also when it was away for an hour: its place has the time of the last message with it."""
    for number in range(20):
        put(NOW - 60 * MINUTE + number * 1_000)
    live()
    assert not alerts()
    for number in range(20, 40):
        put(NOW - 60 * MINUTE + number * 1_000)
    live()
    assert [each["count"] for each in alerts()] == [30]
    assert broker.committed["access-log", 0] == 40


def test_who_crashed_before_the_commit_tells_the_same_again(
    put: Put, live: Any, alerts: Any, broker: Any
) -> None:
    for number in range(40):
        put(NOW + number * 1_000)
    live()
    broker.committed["access-log", 0] = 21
    broker.notes["access-log", 0] = str(NOW + 20_005)
    live()
    first, second = alerts()
    assert first == second


def test_what_was_told_is_not_told_again_by_each_start(
    put: Put, live: Any, alerts: Any, broker: Any
) -> None:
    put(NOW, site="elsewhere.example")
    for number in range(40):
        put(NOW + number * 1_000)
    for _ in range(3):
        live()
    assert len(alerts()) == 1
    assert letters(broker) == [(Reason.UNKNOWN_SITE, 0)]
    committed = [each["access-log", 0] for each in broker.commits]
    assert committed == sorted(committed), "no place is ever taken back"


def test_an_old_log_raises_alerts_that_block_nobody_now(put: Put, live: Any, alerts: Any) -> None:
    for number in range(40):
        put(NOW - 30 * 24 * 60 * MINUTE + number * 1_000, later=30 * 24 * 60 * MINUTE)
    live()
    (alert,) = alerts()
    assert alert["until"].timestamp() * 1_000 < NOW


def test_a_server_whose_clock_is_ahead_blocks_nobody_for_longer(
    put: Put, live: Any, alerts: Any
) -> None:
    for number in range(40):
        put(NOW + 3_600 * MINUTE, later=number - 3_600 * MINUTE)
    live()
    (alert,) = alerts()
    assert alert["until"].timestamp() * 1_000 <= NOW + 11 * MINUTE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": "192.0.2.7"}, Reason.FULL_ADDRESS),
        ({"token": "2001:db8::7"}, Reason.FULL_ADDRESS),
        ({"token": TOKEN + "\n"}, Reason.FULL_ADDRESS),
        ({"site": "elsewhere.example"}, Reason.UNKNOWN_SITE),
    ],
)
def test_what_may_not_be_in_an_alert_is_refused(
    put: Put, live: Any, broker: Any, changes: dict[str, object], reason: Reason
) -> None:
    for number in range(40):
        put(NOW + number * 1_000, **changes)
    live()
    assert letters(broker) == [(reason, number) for number in range(40)]
    assert not broker.values("security-alerts")
    assert b"192.0.2.7" not in b"".join(broker.values("dead-letters"))


def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_goes_on(
    put: Put, live: Any, alerts: Any, broker: Any
) -> None:
    broker.put("access-log", b"", b"\x00junk")
    broker.put("access-log", b"", None)
    for number in range(30):
        put(NOW + number * 1_000)
    live()
    assert [reason for reason, _ in letters(broker)] == [Reason.UNKNOWN_SCHEMA, Reason.NO_VALUE]
    assert len(alerts()) == 1


def test_what_has_no_address_counts_among_the_failures_of_a_site(
    put: Put, live: Any, alerts: Any
) -> None:
    for number in range(80):
        put(NOW + number * 100, token=None, status=503, path="/")
    live()
    (alert,) = alerts()
    assert (alert["kind"], alert["token"]) == ("errors", None)
    assert alert["until"] == alert["at"], "nobody can be blocked for it"
