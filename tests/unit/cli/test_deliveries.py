"""``lethe deliveries``, as typed."""

import json
import time
from collections.abc import Callable

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from lethe.cli.deliveries import HOUR, percentile
from privacy.outcome import Reason
from sinks.ledger import deliveries, reached
from sinks.ledger.deliveries import Finish, State
from sinks.ledger.ledger import Ledger
from sinks.ledger.reached import Reached
from sinks.ledger.tables import withdrawals
from sinks.ledger.withdrawals import Withdrawal
from streams.shared import now

Lethe = Callable[..., Result]


@pytest.fixture
def deliver(ledger: Ledger) -> Callable[..., None]:
    """Return what records how one event ended."""
    number = iter(range(1_000))

    def make(
        provider: str, state: State, reason: Reason | None = None, site: str = "shop.example"
    ) -> None:
        event_id = f"event-{next(number)}"
        with ledger.transaction() as connection:
            deliveries.claim(connection, provider, 0, [(event_id, site)], 1)
            deliveries.finish(connection, provider, [Finish(event_id, state, reason)], 2)

    return make


@pytest.fixture
def withdraw(ledger: Ledger) -> Callable[[int, int | None], None]:
    """Return what records a withdrawal and how long it took; None: it still does."""
    number = iter(range(1_000))

    def make(recorded_at: int, took: int | None) -> None:
        row = {
            "partition": 0,
            "offset": next(number),
            "recorded_at": recorded_at,
            "effective_at": None if took is None else recorded_at + took,
        }
        with ledger.transaction() as connection:
            connection.execute(insert(withdrawals).values(row))

    return make


@pytest.fixture
def some(deliver: Callable[..., None]) -> None:
    deliver("meta", State.DELIVERED)
    deliver("meta", State.DELIVERED)
    deliver("meta", State.DELIVERED, site="www.example")
    deliver("meta", State.REFUSED, Reason.TOO_OLD)
    deliver("x", State.DROPPED, Reason.CONSENT_WITHDRAWN)


def words(result: Result) -> str:
    return " ".join(result.stdout.replace("│", " ").split())


@pytest.mark.usefixtures("some")
def test_events_are_counted_by_provider_site_state_and_reason(lethe: Lethe) -> None:
    result = lethe("deliveries")
    assert (result.exit_code, result.stderr) == (0, "")
    shown = words(result)
    for row in (
        "meta shop.example delivered 2 ",
        "meta shop.example refused too_old 1 ",
        "meta www.example delivered 1 ",
        "meta all 4 ",
        "x shop.example dropped consent_withdrawn 1 ",
        "x all 1 ",
        " all 5 ",
    ):
        assert row in shown, row


@pytest.mark.usefixtures("some")
def test_json_has_what_the_table_has(lethe: Lethe) -> None:
    shown = json.loads(lethe("deliveries", "--format", "json").stdout)
    assert shown["total"] == 5
    assert shown["deliveries"][0] == {
        "provider": "meta",
        "site": "shop.example",
        "state": "delivered",
        "reason": None,
        "events": 2,
    }
    assert [each["events"] for each in shown["deliveries"]] == [2, 1, 1, 1]


@pytest.mark.usefixtures("some")
def test_one_provider_can_be_asked_for(lethe: Lethe) -> None:
    shown = json.loads(lethe("deliveries", "--provider", "x", "--format", "json").stdout)
    assert (shown["total"], {each["provider"] for each in shown["deliveries"]}) == (1, {"x"})
    assert "meta" not in lethe("deliveries", "--provider", "x").stdout
    assert lethe("deliveries", "--provider", "y").exit_code == 2


@pytest.mark.usefixtures("ledger")
def test_nothing_yet_is_said(lethe: Lethe) -> None:
    shown = lethe("deliveries").stdout
    assert shown == (
        "No events yet.\nEvery withdrawal is effective.\nNone became effective in 24 h.\n"
    )


def test_withdrawals_that_wait_are_told_with_the_oldest(
    lethe: Lethe, withdraw: Callable[[int, int | None], None]
) -> None:
    withdraw(now() - 3_000, None)
    withdraw(now() - 20_000, None)
    told = json.loads(lethe("deliveries", "--format", "json").stdout)["withdrawals"]
    assert told["waiting"] == 2
    assert 20 <= told["oldest_seconds"] < 60
    shown = words(lethe("deliveries"))
    assert "2 withdrawals are not effective yet, the oldest for 2" in shown
    assert "at most 7 s is promised" in shown


def test_a_withdrawal_within_the_bound_is_no_alarm(
    lethe: Lethe, withdraw: Callable[[int, int | None], None]
) -> None:
    withdraw(now(), None)
    shown = lethe("deliveries").stdout
    assert "1 withdrawals are not effective yet" in shown
    assert "promised" not in shown


def test_how_soon_withdrawals_became_effective(
    lethe: Lethe, withdraw: Callable[[int, int | None], None]
) -> None:
    for took in range(1, 101):
        withdraw(now() - HOUR, took * 10)
    withdraw(now() - 30 * HOUR, 60_000)
    told = json.loads(lethe("deliveries", "--format", "json").stdout)["withdrawals"]
    assert told == {
        "waiting": 0,
        "oldest_seconds": None,
        "hours": 24,
        "effective": 100,
        "p50_seconds": 0.5,
        "p99_seconds": 0.99,
    }
    assert (
        "100 became effective in 24 h: half within 0.500 s, 99 % within 0.990 s."
        in lethe("deliveries").stdout
    )
    longer = json.loads(lethe("deliveries", "--hours", "48", "--format", "json").stdout)
    assert longer["withdrawals"]["effective"] == 101


def test_removals_that_wait_are_told_with_the_first(lethe: Lethe, ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        for number, (provider, since) in enumerate([("x", 0), ("meta", 9_000), ("meta", 20_000)]):
            row = Reached(f"r{number}", 0, "shop.example", f"v-{number}", None, {}, 1)
            reached.remember(connection, provider, "ads", [row])
            withdrawal = Withdrawal(3, 1, "shop.example", f"v-{number}", "ads")
            reached.fall_due(connection, [withdrawal] if since else [], now() - since)
    (told,) = json.loads(lethe("deliveries", "--format", "json").stdout)["removals"]
    assert (told["provider"], told["waiting"]) == ("meta", 2)
    assert 20 <= told["oldest_seconds"] < 60
    assert "2 removals wait at meta, the first for 2" in words(lethe("deliveries"))
    assert "removals" not in lethe("deliveries", "--provider", "x").stdout


@given(st.lists(st.integers(0, 10_000), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_that_so_many_do_not_exceed(
    values: list[int], percent: int
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found is not None
    assert sum(each <= found for each in ordered) * 100 >= percent * len(ordered)
    assert sum(each < found for each in ordered) * 100 < percent * len(ordered)


@pytest.mark.usefixtures("some")
def test_watching_shows_what_comes(
    lethe: Lethe, deliver: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 1:
            raise KeyboardInterrupt
        deliver("linkedin", State.UNCERTAIN, Reason.PROVIDER_UNCERTAIN)

    monkeypatch.setattr(time, "sleep", sleep)
    result = lethe("deliveries", "--watch")
    assert result.exit_code == 0
    assert "linkedin shop.example uncertain provider_uncertain 1 " in words(result)


@pytest.mark.usefixtures("ledger")
def test_watching_is_for_the_table(lethe: Lethe) -> None:
    assert lethe("deliveries", "--watch", "--format", "json").exit_code == 2


def test_a_missing_ledger_is_not_an_empty_one(lethe: Lethe) -> None:
    result = lethe("deliveries")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("lethe deliveries: no ledger at .lethe/ledger.db; ")
