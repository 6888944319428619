"""Brokers that are lost: one of three, and everything goes on; two, and nothing is acknowledged."""

from random import Random
from typing import Final

from lethe.local.process import listening
from tests.chaos.faults import Fault, kill
from tests.chaos.stack import ChaosError, Stack, wait

THREE: Final = "three brokers"
NEEDS: Final = frozenset({THREE})


def one_is_lost(stack: Stack, random: Random) -> str:
    """Kill one of three brokers, and keep it away until traffic was acknowledged without it."""
    broker = random.choice(stack.brokers)
    kill(broker)
    before = _acknowledged(stack)

    def is_acknowledged() -> bool:
        if any(map(listening, broker.ports)):
            kill(broker)
        return _acknowledged(stack) >= before + 10

    wait(is_acknowledged, "traffic to flow without one of three brokers")
    return "acknowledged while it was away"


def two_are_lost(stack: Stack, random: Random) -> str:
    """Kill two of three brokers at once: nothing is acknowledged that has one copy."""
    lost = random.sample(list(stack.brokers), 2)
    for each in lost:
        kill(each)
    before = _acknowledged(stack)
    stack.meet()
    more = _acknowledged(stack) - before
    if more and not any(listening(port) for each in lost for port in each.ports):
        raise ChaosError(f"{more} requests were acknowledged with one copy")
    stack.flow(seconds=60)
    return ""


def _acknowledged(stack: Stack) -> int:
    assert stack.traffic is not None
    return stack.traffic.acknowledged


FAULTS = (
    Fault("one of three brokers killed", one_is_lost, NEEDS, ci=1, nightly=20),
    Fault("two of three brokers killed", two_are_lost, NEEDS, ci=1, nightly=20),
)
