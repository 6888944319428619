"""What holds of every life cycle, whatever is in the tables."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.lifecycle import LIFE_CYCLES, CaseState, LifeCycleName, ServiceEvent, step
from privacy.outcome import Reason

names = st.sampled_from(LifeCycleName)
each_life_cycle = pytest.mark.parametrize("name", LifeCycleName)


def moves(name: LifeCycleName, state: CaseState, *, further: bool) -> set[CaseState]:
    found = (step(name, state, event, further=further) for event in ServiceEvent)
    return {each for each in found if isinstance(each, CaseState)}


@given(names, st.booleans(), st.lists(st.sampled_from(ServiceEvent)))
def test_no_path_leaves_the_end_nor_the_states_of_the_life_cycle(
    name: LifeCycleName, further: bool, events: list[ServiceEvent]
) -> None:
    state = LIFE_CYCLES[name].begins
    for event in events:
        result = step(name, state, event, further=further)
        if state is CaseState.ENDED:
            assert result is Reason.CASE_ENDED
        if isinstance(result, CaseState):
            state = result
        assert state in LIFE_CYCLES[name].states


@each_life_cycle
@pytest.mark.parametrize("further", [False, True])
def test_every_state_can_reach_the_end(name: LifeCycleName, further: bool) -> None:
    ending = {CaseState.ENDED}
    while more := {
        state
        for state in LIFE_CYCLES[name].states - ending
        if moves(name, state, further=further) & ending
    }:
        ending |= more
    assert ending == LIFE_CYCLES[name].states


@each_life_cycle
@pytest.mark.parametrize("further", [False, True])
def test_an_event_twice_is_an_event_once(name: LifeCycleName, further: bool) -> None:
    for state, event in itertools.product(CaseState, ServiceEvent):
        once = step(name, state, event, further=further)
        if isinstance(once, CaseState):
            again = step(name, once, event, further=further)
            assert isinstance(again, Reason) or again is once


@each_life_cycle
def test_a_state_of_another_life_cycle_goes_nowhere(name: LifeCycleName) -> None:
    for state in set(CaseState) - LIFE_CYCLES[name].states:
        assert not moves(name, state, further=True)


@each_life_cycle
def test_what_ends_a_group_ends_or_keeps_every_case_that_is_open(name: LifeCycleName) -> None:
    life_cycle = LIFE_CYCLES[name]
    for event in life_cycle.group_events:
        assert isinstance(step(name, life_cycle.begins, event, further=False), CaseState)


@each_life_cycle
def test_notices_and_timeouts_are_of_moves_that_there_are(name: LifeCycleName) -> None:
    life_cycle = LIFE_CYCLES[name]
    for event, state in life_cycle.notices:
        if event is not None:
            came = (step(name, each, event, further=False) for each in life_cycle.states)
            assert state in came
    for state, (milliseconds, event) in life_cycle.timeouts.items():
        assert milliseconds > 0
        assert isinstance(step(name, state, event, further=False), CaseState)


def test_the_register_can_say_of_every_service_how_long_it_keeps() -> None:
    assert set(LIFE_CYCLES) == set(LifeCycleName)
    assert all(each.kept_until for each in LIFE_CYCLES.values())
