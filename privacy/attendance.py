"""Who attends an event, who waits, and what others are shown of them (S6).

The organiser chooses with the form of the event, in fields of these names: ``capacity``, and the
widest audience for its ``guest_list`` and for the event itself, ``open_to``. What was not chosen,
or cannot be read, shows nobody anything.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import floor
from typing import TYPE_CHECKING, Protocol, TypeVar

from privacy.lifecycle import CaseState

if TYPE_CHECKING:
    from privacy.policy import FormField


class Audience(StrEnum):
    """Who looks: each is wider than the one before."""

    ORGANISER = "organiser"
    PARTICIPANTS = "participants"
    PUBLIC = "public"


OPTIONS: Mapping[str, Sequence[Audience]] = {
    "guest_list": tuple(Audience),
    "open_to": (Audience.PARTICIPANTS, Audience.PUBLIC),
}
"""What an organiser may choose from, by the field of the event's form."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the organiser of an event chose. ``capacity`` None: as many as come."""

    capacity: int | None = None
    guest_list: Audience = Audience.ORGANISER
    open_to: Audience = Audience.PARTICIPANTS


@dataclass(frozen=True, slots=True)
class Guest:
    """A registration, its fields in clear text. Times are milliseconds since 1970."""

    case_id: str
    state: CaseState
    received_at: int
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat, counted from 1, and what the badge on it says."""

    number: int
    badge: Mapping[str, str] = field(repr=False)


class Arrival(Protocol):
    """What has come at a time; of two that came at once, the lower id was first."""

    @property
    def received_at(self) -> int:
        """Milliseconds since 1970."""
        ...

    @property
    def case_id(self) -> str:
        """The registration's case."""
        ...


A = TypeVar("A", bound=Arrival)

_WIDTH = list(Audience)


def choices(settings: Mapping[str, str]) -> Choices:
    """Read what an organiser chose. A capacity that cannot be read is none: all wait."""
    return Choices(
        _capacity(settings.get("capacity")),
        _audience(settings.get("guest_list"), Audience.ORGANISER),
        _audience(settings.get("open_to"), Audience.PARTICIPANTS),
    )


def _capacity(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return max(0, floor(float(text)))
    except (ValueError, OverflowError):
        return 0


def _audience(text: str | None, narrowest: Audience) -> Audience:
    return Audience(text) if text in _WIDTH else narrowest


def begins(capacity: int | None, taken: int, waiting: int) -> CaseState:
    """Return how a registration begins: it waits when the event is full, or others wait already."""
    full = capacity is not None and taken + waiting >= capacity
    return CaseState.WAITING if full else CaseState.OPEN


def promoted(capacity: int | None, taken: int, waiting: Iterable[A]) -> Sequence[A]:
    """Return those of ``waiting`` for whom there are seats now, in the order they came."""
    free = None if capacity is None else max(0, capacity - taken)
    return _in_order(waiting)[:free]


def sees_event(chosen: Choices, audience: Audience) -> bool:
    """Tell whether an audience may know of the event at all."""
    return audience is not Audience.PUBLIC or chosen.open_to is Audience.PUBLIC


def sees_guests(chosen: Choices, audience: Audience) -> bool:
    """Tell whether an audience may see who attends."""
    wide_enough = _WIDTH.index(audience) <= _WIDTH.index(chosen.guest_list)
    return wide_enough and sees_event(chosen, audience)


def guest_list(
    chosen: Choices, audience: Audience, fields: "Mapping[str, FormField]", guests: Iterable[Guest]
) -> Sequence[Mapping[str, str]] | None:
    """Return what an audience sees of those who have a seat; None when that is nothing.

    ``fields`` are the registration's, as the policy has them: those on the guest list are shown.
    """
    return _shown(chosen, audience, fields, guests, lambda each: each.guest_list)


def seats(
    chosen: Choices, audience: Audience, fields: "Mapping[str, FormField]", guests: Iterable[Guest]
) -> Sequence[Seat] | None:
    """Return the seats with their badges, by order of arrival; None when they are not shown.

    Who cancels leaves a seat to the next, so that the numbers are final when nobody can any more.
    """
    badges = _shown(chosen, audience, fields, guests, lambda each: each.badge)
    if badges is None:
        return None
    return [Seat(number, badge) for number, badge in enumerate(badges, start=1)]


def _shown(
    chosen: Choices,
    audience: Audience,
    fields: "Mapping[str, FormField]",
    guests: Iterable[Guest],
    shows: "Callable[[FormField], bool]",
) -> Sequence[Mapping[str, str]] | None:
    if not sees_guests(chosen, audience):
        return None
    names = [name for name, each in fields.items() if shows(each)]
    seated = _in_order(each for each in guests if each.state is CaseState.OPEN)
    return [{name: each.fields[name] for name in names if name in each.fields} for each in seated]


def _in_order(arrivals: Iterable[A]) -> list[A]:
    return sorted(arrivals, key=lambda each: (each.received_at, each.case_id))
