"""Brokers that are lost: one of three, and everything goes on; two, and nothing is acknowledged."""

from random import Random
from typing import Final

from lethe.local.process import listening
from tests.chaos.faults import Fault, kill
from tests.chaos.stack import Stack

THREE: Final = "three brokers"
NEEDS: Final = frozenset({THREE})


def one_is_lost(stack: Stack, random: Random) -> str:
    """Kill one of three brokers; traffic is acknowledged before it is back."""
    broker = random.choice(stack.brokers)
    kill(broker)
    stack.flow(10)
    return "" if listening(broker.ports[0]) else "acknowledged while it was away"


def two_are_lost(stack: Stack, random: Random) -> str:
    """Kill two of three brokers at once; what is acknowledged then has two copies again."""
    for each in random.sample(list(stack.brokers), 2):
        kill(each)
    stack.meet()
    stack.flow(seconds=60)
    return ""


FAULTS = (
    Fault("one of three brokers killed", one_is_lost, NEEDS, ci=1, nightly=20),
    Fault("two of three brokers killed", two_are_lost, NEEDS, ci=1, nightly=20),
)
