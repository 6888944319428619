from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sinks.ads.contract import Verdict
from streams.delivery.circuit import AT_ONCE, FIRST_WAIT, LONGEST_WAIT, NARROWEST, Circuit


def turned(circuit: Circuit, *verdicts: Verdict, now: float = 0.0) -> Circuit:
    for each in verdicts:
        circuit.note(each)
    circuit.turn(now)
    return circuit


def test_it_narrows_while_requests_fail_and_widens_when_all_are_answered() -> None:
    circuit = Circuit("meta")
    assert circuit.width == AT_ONCE
    assert turned(circuit, Verdict.DELIVERED, Verdict.RETRY).width == AT_ONCE // 2
    assert turned(circuit, Verdict.UNCERTAIN).width == AT_ONCE // 4
    assert turned(circuit).width == AT_ONCE // 4, "nothing was learned"
    assert turned(circuit, Verdict.DELIVERED).width == AT_ONCE // 2
    for _ in range(3):
        turned(circuit, Verdict.REFUSED)
    assert circuit.width == AT_ONCE


def test_that_it_is_down_to_one_is_told_once() -> None:
    circuit = Circuit("meta")
    with capture_logs() as lines:
        for _ in range(20):
            turned(circuit, Verdict.RETRY)
        assert [each["event"] for each in lines] == ["ads_narrowed"]
        for _ in range(3):
            turned(circuit, Verdict.DELIVERED)
        for _ in range(20):
            turned(circuit, Verdict.RETRY)
    assert len(lines) == 2


def test_a_provider_that_is_away_is_tried_more_and_more_seldom_and_at_once_when_back() -> None:
    circuit = Circuit("meta")
    for _ in range(100):
        turned(circuit, Verdict.RETRY, now=5.0)
    assert circuit.width == 1
    assert circuit.wait(5.0) == FIRST_WAIT / NARROWEST
    assert turned(circuit, Verdict.DELIVERED).width == 1
    assert turned(circuit, Verdict.DELIVERED).width == 2


@given(st.lists(st.sampled_from([Verdict.RETRY, Verdict.DELIVERED])))
def test_it_never_stands_still(verdicts: list[Verdict]) -> None:
    circuit = Circuit("meta")
    for each in verdicts:
        turned(circuit, each)
    assert 1 <= circuit.width <= AT_ONCE
    assert circuit.wait(0.0) <= FIRST_WAIT / NARROWEST
    assert all(circuit.backoff(tries) <= LONGEST_WAIT for tries in (0, 1, 50, 10_000))


def test_an_earlier_end_never_shortens_a_wait() -> None:
    circuit = Circuit("meta")
    with capture_logs() as lines:
        circuit.throttle(90.0, 0.0)
        circuit.throttle(None, 0.0)
    assert circuit.wait(0.0) == 90.0
    assert [each["event"] for each in lines] == ["ads_throttled"]
