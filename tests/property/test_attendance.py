"""An event whose seats are taken, left and given to others, in any order."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from privacy.attendance import Guest, begins, promoted
from privacy.lifecycle import CaseState

OPEN, WAITING = CaseState.OPEN, CaseState.WAITING


class Event:
    """Guests by order of arrival; a turn registers one, or cancels the one at a place."""

    def __init__(self, capacity: int | None) -> None:
        self.capacity = capacity
        self.guests: list[Guest] = []
        self.came = 0

    def having(self, state: CaseState) -> list[Guest]:
        return [each for each in self.guests if each.state is state]

    def turn(self, cancelled: int | None) -> None:
        if cancelled is None or not self.guests:
            state = begins(self.capacity, len(self.having(OPEN)), len(self.having(WAITING)))
            self.guests.append(Guest(f"case-{self.came:03}", state, self.came // 3, {}))
            self.came += 1
        else:
            self.guests.pop(cancelled % len(self.guests))
        now = {
            each.case_id
            for each in promoted(self.capacity, len(self.having(OPEN)), self.having(WAITING))
        }
        self.guests = [
            replace(each, state=OPEN) if each.case_id in now else each for each in self.guests
        ]


@given(st.integers(0, 5), st.lists(st.none() | st.integers(0, 20), max_size=40))
def test_s6_attendance_never_exceeds_capacity_and_follows_the_order_of_arrival(
    capacity: int, turns: list[int | None]
) -> None:
    event = Event(capacity)
    for turn in turns:
        event.turn(turn)
        seated = len(event.having(OPEN))
        assert seated == min(capacity, len(event.guests))
        assert event.having(OPEN) == event.guests[:seated]


@given(st.lists(st.none() | st.integers(0, 20), max_size=20))
def test_s6_nobody_waits_without_a_capacity(turns: list[int | None]) -> None:
    event = Event(None)
    for turn in turns:
        event.turn(turn)
        assert not event.having(WAITING)
