import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import URL, select

from privacy.outcome import Reason
from sinks.ledger import deliveries
from sinks.ledger.deliveries import Finish, Kind, Open, State
from sinks.ledger.ledger import Ledger
from sinks.ledger.tables import deliveries as table

EVENTS = [("e1", "shop"), ("e2", "shop"), ("e3", "blog")]
FINAL = [State.DELIVERED, State.REFUSED, State.DROPPED]


def claim(
    ledger: Ledger, *events: str, provider: str = "meta", partition: int = 0, at: int = 1
) -> set[str]:
    with ledger.transaction() as connection:
        wanted = [(each, "shop") for each in events]
        return deliveries.claim(connection, provider, partition, wanted, at)


def finish(ledger: Ledger, *results: Finish, at: int = 2) -> None:
    with ledger.transaction() as connection:
        deliveries.finish(connection, "meta", results, at)


def release(ledger: Ledger, *events: str) -> None:
    with ledger.transaction() as connection:
        deliveries.release(connection, "meta", events, 2)


def unfinished(ledger: Ledger, provider: str = "meta", partition: int = 0) -> list[Open]:
    with ledger.reading() as connection:
        return deliveries.unfinished(connection, provider, partition)


def counts(ledger: Ledger) -> Counter[Kind]:
    with ledger.reading() as connection:
        return deliveries.counts(connection)


def tries(ledger: Ledger) -> dict[str, int]:
    with ledger.reading() as connection:
        return dict(connection.execute(select(table.c.event_id, table.c.tries)).all())


def test_one_that_its_first_claimer_released_is_what_who_took_it_over_made_of_it(
    ledger: Ledger,
) -> None:
    claim(ledger, "e1")
    release(ledger, "e1")  # too late: another has it in hand
    finish(ledger, Finish("e1", State.DELIVERED))
    assert claim(ledger, "e1") == set(), "nobody sends it again"
    assert counts(ledger) == {Kind("meta", "shop", State.DELIVERED, None): 1}


def test_an_event_is_claimed_once(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        assert deliveries.claim(connection, "meta", 0, EVENTS, 1) == {"e1", "e2", "e3"}
        assert deliveries.claim(connection, "meta", 0, [*EVENTS, ("e4", "shop")], 2) == {"e4"}
    assert claim(ledger, "e5", "e5") == {"e5"}
    assert claim(ledger) == set()


def test_each_provider_has_claims_of_its_own(ledger: Ledger) -> None:
    assert claim(ledger, "e1")
    assert claim(ledger, "e1", provider="x")


def test_more_events_than_one_statement_holds(ledger: Ledger) -> None:
    events = {f"e{n}" for n in range(12_000)}
    assert claim(ledger, *events) == events
    assert claim(ledger, *events, "new") == {"new"}


@pytest.mark.parametrize("state", [*FINAL, State.UNCERTAIN, State.ACCEPTED])
def test_what_was_finished_is_not_claimed_again(ledger: Ledger, state: State) -> None:
    claim(ledger, "e1")
    finish(ledger, Finish("e1", state))
    assert claim(ledger, "e1") == set()
    release(ledger, "e1")
    assert claim(ledger, "e1") == set(), "nor released"


def test_what_was_surely_not_sent_is_claimed_again(ledger: Ledger) -> None:
    claim(ledger, "e1", "e2")
    release(ledger, "e1")
    assert claim(ledger, "e1", "e2") == {"e1"}
    assert tries(ledger) == {"e1": 2, "e2": 1}


@pytest.mark.parametrize("state", FINAL)
def test_what_is_final_stays(ledger: Ledger, state: State) -> None:
    claim(ledger, "e1")
    finish(ledger, Finish("e1", state))
    for other in State:
        finish(ledger, Finish("e1", other))
    assert counts(ledger) == {Kind("meta", "shop", state, None): 1}


@pytest.mark.parametrize("state", [State.ACCEPTED, State.UNCERTAIN])
def test_the_provider_may_tell_more_later(ledger: Ledger, state: State) -> None:
    claim(ledger, "e1")
    finish(ledger, Finish("e1", state))
    finish(ledger, Finish("e1", State.DELIVERED))
    assert counts(ledger) == {Kind("meta", "shop", State.DELIVERED, None): 1}


def test_who_takes_over_learns_what_is_open_in_its_partition(ledger: Ledger) -> None:
    claim(ledger, "e1", "e2", "e3", at=7)
    claim(ledger, "elsewhere", partition=1)
    claim(ledger, "another", provider="x")
    finish(ledger, Finish("e2", State.ACCEPTED, ticket="t-1"), Finish("e3", State.DELIVERED), at=9)
    assert unfinished(ledger) == [
        Open("e1", "shop", State.CLAIMED, None, 7),
        Open("e2", "shop", State.ACCEPTED, "t-1", 9),
    ]


def test_deliveries_are_counted_by_where_they_stand(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        deliveries.claim(connection, "meta", 0, EVENTS, 1)
    claim(ledger, "e1", provider="x")
    finish(
        ledger,
        Finish("e1", State.DROPPED, Reason.CONSENT_WITHDRAWN),
        Finish("e3", State.REFUSED, Reason.PROVIDER_REFUSED),
    )
    assert counts(ledger) == {
        Kind("meta", "shop", State.DROPPED, Reason.CONSENT_WITHDRAWN): 1,
        Kind("meta", "shop", State.CLAIMED, None): 1,
        Kind("meta", "blog", State.REFUSED, Reason.PROVIDER_REFUSED): 1,
        Kind("x", "shop", State.CLAIMED, None): 1,
    }


def test_only_what_is_over_for_long_is_forgotten(ledger: Ledger) -> None:
    claim(ledger, "open", "late", "old")
    finish(ledger, Finish("old", State.DELIVERED), at=9)
    finish(ledger, Finish("late", State.DELIVERED), at=10)
    with ledger.transaction() as connection:
        assert deliveries.forget(connection, before=10) == 1
    assert tries(ledger).keys() == {"open", "late"}


def test_threads_that_want_the_same_events_share_them(ledger: Ledger) -> None:
    """In whatever order they name them."""
    start = threading.Barrier(4, timeout=20)

    def work(number: int) -> list[set[str]]:
        won = []
        for batch in range(5):
            wanted = [f"{batch}-{n}" for n in range(100)][:: 1 if number % 2 else -1]
            start.wait()
            won.append(claim(ledger, *wanted))
        return won

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(work, range(4)))
    for batch in zip(*won, strict=True):
        assert sum(map(len, batch)) == 100 == len(set().union(*batch))


def test_a_process_killed_after_the_claim_leaves_it_open(ledger: Ledger, url: URL) -> None:
    code = (
        "import os, sys; from sinks.ledger.ledger import Ledger;"
        "from sinks.ledger.deliveries import claim\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "with ledger.transaction() as connection:\n"
        "    claim(connection, 'meta', 0, [('e1', 'shop')], 1)\n"
        "with ledger.transaction() as connection:\n"
        "    claim(connection, 'meta', 0, [('e2', 'shop')], 1)\n"
        "    os._exit(9)"
    )
    command = [sys.executable, "-c", code, url.render_as_string(hide_password=False)]
    assert subprocess.run(command, check=False).returncode == 9
    assert [each.event_id for each in unfinished(ledger)] == ["e1"]
    assert claim(ledger, "e1", "e2") == {"e2"}
