import pytest

from streams.collector.limits import Anonymous, Buckets


def test_gives_the_burst_then_the_rate() -> None:
    buckets = Buckets(rate=2.0, burst=10)
    assert [buckets.take("a", 5, 100.0) for _ in range(2)] == [0, 0]
    assert buckets.take("a", 1, 100.0) == 1
    assert buckets.take("a", 4, 100.0) == 2
    assert buckets.take("a", 4, 101.9) == 1
    assert buckets.take("a", 4, 102.0) == 0
    assert buckets.take("a", 1, 102.0) == 1


def test_whoever_waits_as_told_is_served() -> None:
    buckets = Buckets(rate=0.3, burst=3)
    assert buckets.take("a", 3, 0.0) == 0
    wait = buckets.take("a", 2, 0.0)
    assert buckets.take("a", 2, float(wait)) == 0


def test_a_refused_take_costs_nothing() -> None:
    buckets = Buckets(rate=1.0, burst=1)
    buckets.take("a", 1, 0.0)
    for _ in range(100):
        assert buckets.take("a", 1, 0.5) == 1
    assert buckets.take("a", 1, 1.0) == 0


def test_a_bucket_never_holds_more_than_the_burst() -> None:
    buckets = Buckets(rate=100.0, burst=10)
    buckets.take("a", 1, 0.0)
    assert buckets.take("a", 10, 10_000.0) == 0
    assert buckets.take("a", 1, 10_000.0) == 1


def test_a_batch_larger_than_the_bucket_waits_its_turn_and_is_paid_off() -> None:
    buckets = Buckets(rate=10.0, burst=10)
    assert buckets.take("a", 100, 0.0) == 0
    assert buckets.take("a", 1, 0.0) == 10
    assert buckets.take("a", 1, 9.0) == 1
    assert buckets.take("a", 1, 9.2) == 0


def test_names_do_not_share() -> None:
    buckets = Buckets(rate=1.0, burst=1)
    assert [buckets.take(name, 1, 0.0) for name in "abc"] == [0, 0, 0]


def test_memory_is_bounded_and_the_unused_go_first() -> None:
    buckets = Buckets(rate=1.0, burst=2, most=3)
    for name in "abcabca":
        buckets.take(name, 1, 0.0)
    assert buckets.take("d", 2, 0.0) == 0
    assert len(buckets) == 3
    assert [buckets.take(name, 1, 0.0) for name in "ca"] == [1, 1]
    assert buckets.take("b", 2, 0.0) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        (None, None, True),
        (None, "192.0.2.1", False),
    ],
)
def test_tells_ipv4_addresses_and_ipv6_networks_apart(
    one: str | None, other: str | None, same: bool
) -> None:
    name = Anonymous()
    assert (name(one) == name(other)) is same


def test_two_processes_name_one_address_differently() -> None:
    assert Anonymous()("192.0.2.1") != Anonymous()("192.0.2.1")
