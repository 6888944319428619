import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from sinks.ledger.dispatchers import Lease, Process, drop, held, here, renew
from sinks.ledger.ledger import Ledger

ONE = Lease("meta", 0, Process("one", "host-a", "boot-1", 11, 100), 5, 12_000, 1_700_000_000_000)
OTHER = replace(
    ONE, process=Process("other", "host-b", "boot-2", 12, 200), passed=1, lease_until=20_000
)


def take(ledger: Ledger, lease: Lease) -> bool:
    with ledger.transaction() as connection:
        return renew(connection, lease)


def holders(ledger: Ledger, partition: int = 0) -> list[Lease]:
    with ledger.reading() as connection:
        return held(connection, partition)


def let_go(ledger: Ledger, lease: Lease) -> None:
    with ledger.transaction() as connection:
        drop(connection, lease.provider, lease.partition, lease.process.id)


def test_one_dispatcher_holds_a_provider_s_partition(ledger: Ledger) -> None:
    assert not holders(ledger)
    assert take(ledger, ONE)
    assert not take(ledger, OTHER)
    assert holders(ledger) == [ONE]
    assert take(ledger, replace(OTHER, partition=1))
    assert take(ledger, replace(OTHER, provider="ga4"))
    assert [each.provider for each in holders(ledger)] == ["ga4", "meta"]


def test_it_renews_and_never_goes_back(ledger: Ledger) -> None:
    take(ledger, ONE)
    later = replace(ONE, passed=9, lease_until=13_000)
    assert take(ledger, later)
    assert take(ledger, replace(later, passed=7, lease_until=14_000))
    assert holders(ledger) == [replace(later, lease_until=14_000)]


def test_a_lease_that_is_over_is_not_free_until_it_is_dropped(ledger: Ledger) -> None:
    """Its process may be stopped before its last request, and go on later."""
    take(ledger, replace(ONE, lease_until=0))
    assert not take(ledger, OTHER)
    let_go(ledger, OTHER)
    assert not take(ledger, OTHER)
    let_go(ledger, ONE)
    assert take(ledger, OTHER)
    assert not take(ledger, ONE)


def test_here_is_one_machine_whose_clock_goes_on() -> None:
    before, after = here(), here()
    assert before[:2] == after[:2]
    assert 0 < before.boottime <= after.boottime


@pytest.mark.parametrize("former", [False, True])
def test_of_many_that_want_a_partition_at_once_one_gets_it(ledger: Ledger, former: bool) -> None:
    start = threading.Barrier(4, timeout=20)
    for partition in range(10 if former else 0):
        take(ledger, replace(ONE, partition=partition))
        let_go(ledger, replace(ONE, partition=partition))

    def work(name: str) -> list[bool]:
        won = []
        for partition in range(10):
            start.wait()
            process = OTHER.process._replace(id=name)
            won.append(take(ledger, replace(OTHER, process=process, partition=partition)))
        return won

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(work, "abcd"))
    assert [sum(each) for each in zip(*won, strict=True)] == [1] * 10
