from typing import Any

import pytest

from privacy.attendance import (
    Audience,
    Choices,
    Guest,
    Seat,
    begins,
    choices,
    guest_list,
    promoted,
    seats,
    sees_event,
)
from privacy.lifecycle import CaseState
from privacy.policy import FormField

FIELDS = {
    name: FormField.model_validate({"title": name, "kind": "text", **more})
    for name, more in {
        "name": {"guest_list": True, "badge": True},
        "company": {"badge": True},
        "diet": {},
    }.items()
}
EVERYBODY = Choices(None, Audience.PUBLIC, Audience.PUBLIC)


def guest(name: str, at: int, state: CaseState = CaseState.OPEN, **more: str) -> Guest:
    return Guest(f"case-{name}", state, at, {"name": name, "diet": "none", **more})


GUESTS = [
    guest("Max", 2, company="Example Trading"),
    guest("Eva", 1),
    guest("Ida", 3, CaseState.WAITING),
]


def test_s6_an_organiser_chooses() -> None:
    chosen = choices({"capacity": "12", "guest_list": "participants", "open_to": "public"})
    assert chosen == Choices(12, Audience.PARTICIPANTS, Audience.PUBLIC)


@pytest.mark.parametrize("settings", [{}, {"guest_list": "everybody", "open_to": "?"}])
def test_s6_what_was_not_chosen_is_shown_to_nobody_else(settings: dict[str, str]) -> None:
    assert choices(settings) == Choices(None, Audience.ORGANISER, Audience.PARTICIPANTS)


@pytest.mark.parametrize(
    ("text", "capacity"),
    [("0", 0), ("12.9", 12), ("-3", 0), ("many", 0), ("inf", 0), ("nan", 0), ("", 0)],
)
def test_a_capacity_that_cannot_be_read_lets_nobody_in(text: str, capacity: int) -> None:
    assert choices({"capacity": text}).capacity == capacity


@pytest.mark.parametrize(
    ("capacity", "taken", "waiting", "state"),
    [
        (None, 10_000, 0, CaseState.OPEN),
        (2, 1, 0, CaseState.OPEN),
        (2, 2, 0, CaseState.WAITING),
        (2, 3, 0, CaseState.WAITING),
        (2, 1, 1, CaseState.WAITING),
    ],
)
def test_s6_a_full_event_has_a_waiting_list_that_nobody_overtakes(
    capacity: int | None, taken: int, waiting: int, state: CaseState
) -> None:
    assert begins(capacity, taken, waiting) is state


def test_s6_who_has_waited_longest_is_promoted() -> None:
    waiting = [guest("Max", 2), guest("Ida", 1), guest("Eva", 1)]
    assert [each.case_id for each in promoted(12, 10, waiting)] == ["case-Eva", "case-Ida"]


def test_s6_nobody_is_promoted_into_an_event_that_was_made_smaller() -> None:
    assert promoted(2, 3, GUESTS) == []


@pytest.mark.parametrize(
    ("shown_to", "open_to", "sees"),
    [
        ("organiser", "public", [True, False, False]),
        ("participants", "public", [True, True, False]),
        ("public", "public", [True, True, True]),
        ("public", "participants", [True, True, False]),
    ],
)
def test_s6_the_organiser_decides_who_sees_guests_and_badges(
    shown_to: str, open_to: str, sees: list[bool]
) -> None:
    chosen = choices({"guest_list": shown_to, "open_to": open_to})
    views: list[Any] = [guest_list, seats]
    for view in views:
        seen = [view(chosen, each, FIELDS, GUESTS) is not None for each in Audience]
        assert seen == sees


def test_s6_an_event_for_participants_is_unknown_to_the_public() -> None:
    assert not sees_event(Choices(), Audience.PUBLIC)
    assert sees_event(Choices(), Audience.PARTICIPANTS)
    assert sees_event(EVERYBODY, Audience.PUBLIC)


def test_s6_the_guest_list_has_who_attends_and_the_fields_for_it_alone() -> None:
    found = guest_list(EVERYBODY, Audience.PUBLIC, FIELDS, GUESTS)
    assert found == [{"name": "Eva"}, {"name": "Max"}]


def test_s6_a_seat_has_a_badge_with_name_and_company() -> None:
    assert seats(EVERYBODY, Audience.PUBLIC, FIELDS, GUESTS) == [
        Seat(1, {"name": "Eva"}),
        Seat(2, {"name": "Max", "company": "Example Trading"}),
    ]


def test_who_attends_is_in_no_repr() -> None:
    assert "Eva" not in repr(GUESTS[1].fields and seats(EVERYBODY, Audience.PUBLIC, FIELDS, GUESTS))
    assert "diet" not in repr(GUESTS[0])
