"""A visitor's profile: cities regularly visited and interests, by consent alone (S11, S12).

It is kept under a pseudonym that cannot be made from a cookie id without a secret key, and of what
a visitor does only three things enter it: in which city on which day, which interest that the
policy names, and what the person corrected. Pages and search terms end where they are compared.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import NamedTuple

from privacy.policy import Profiles

HALF_LIFE_DAYS = 30
"""After so many days a sign of interest counts half."""

_WORD = re.compile(r"\w+")


class City(NamedTuple):
    """A city, by its country's code and its name."""

    country: str
    city: str


@dataclass(frozen=True, slots=True)
class Interest:
    """How strong an interest was on the day of its last sign: signs, older ones counting less.

    Days since 1970, UTC.
    """

    weight: float
    last_day: int


@dataclass(frozen=True, slots=True)
class Profile:
    """All that is held of one pseudonym, shown or not.

    ``cities`` have the days they were seen on; ``corrected`` the interests that the person put in
    (True) or took out (False). ``last_day`` is that of the last sign of any kind.
    """

    last_day: int
    cities: Mapping[City, frozenset[int]] = field(default_factory=dict, repr=False)
    interests: Mapping[str, Interest] = field(default_factory=dict, repr=False)
    corrected: Mapping[str, bool] = field(default_factory=dict, repr=False)


def pseudonym(key: bytes, site: str, cookie_id: str) -> str:
    """Return whose profile it is, 32 hexadecimal digits; another one at each site.

    ``key`` is 32 secret bytes, the same for ever.
    """
    return pseudonym_of(key, f"{site}|{cookie_id}".encode())


def pseudonym_of(key: bytes, visitor: bytes) -> str:
    """Return the same of a visitor's key on the topics, ``site|cookie id``."""
    return blake2b(visitor, digest_size=16, key=key, person=b"lethe-profile").hexdigest()


def signs(rules: Profiles, page: str | None, terms: str | None) -> tuple[str, ...]:
    """Return the interests that a page's path or search terms are a sign of, in policy order."""
    path = None if page is None else page.partition("?")[0]
    searched = _words(terms or "")
    return tuple(
        name
        for name, interest in rules.interests.items()
        if (path is not None and any(fnmatchcase(path, each) for each in interest.pages))
        or any((term := _words(each)) and term in searched for each in interest.terms)
    )


def grown(held: Interest | None, count: int, day: int) -> Interest:
    """Return an interest after ``count`` signs on ``day``, in whatever order the days come."""
    if held is None:
        return Interest(float(count), day)
    last = max(held.last_day, day)
    return Interest(held.weight * fading(last - held.last_day) + count * fading(last - day), last)


def regular_cities(profile: Profile, rules: Profiles, today: int) -> tuple[City, ...]:
    """Return the cities that are regularly visited, the most regular first (S11).

    Seen on ``city_days`` distinct days of the last ``city_window_days``; others are never shown.
    """
    begins = first_city_day(rules, today)
    days = {
        city: sum(begins <= day <= today for day in seen) for city, seen in profile.cities.items()
    }
    regular = [city for city, count in days.items() if count >= rules.city_days]
    return tuple(sorted(regular, key=lambda city: (-days[city], city)))


def strengths(profile: Profile, rules: Profiles, today: int) -> dict[str, float]:
    """Return what the person is interested in and how much, the most first.

    What they took out is not among it; what they put in counts one sign today at least. Interests
    that the policy no longer names, or of which the last sign is too old, are none.
    """
    begins = first_day(rules, today)
    found = {
        name: held.weight * fading(max(today - held.last_day, 0))
        for name, held in profile.interests.items()
        if held.last_day >= begins and profile.corrected.get(name, True)
    }
    for name, wanted in profile.corrected.items():
        if wanted:
            found[name] = max(found.get(name, 0.0), 1.0)
    known = ((name, found[name]) for name in rules.interests if name in found)
    return dict(sorted(known, key=lambda item: -item[1]))


def corrected(profile: Profile, wanted: Collection[str]) -> dict[str, bool]:
    """Return the corrections after which a person's interests are exactly ``wanted``.

    They stand until the person corrects them again (Art. 16 GDPR), whatever is seen meanwhile.
    """
    known = {*profile.interests, *profile.corrected, *wanted}
    return {name: name in wanted for name in sorted(known)}


def first_day(rules: Profiles, today: int) -> int:
    """Return the first day whose signs may still be kept."""
    return today - rules.kept_days


def first_city_day(rules: Profiles, today: int) -> int:
    """Return the first day on which a city that was seen still counts."""
    return max(today - rules.city_window_days + 1, first_day(rules, today))


def fading(days: int) -> float:
    """Return what a sign counts after so many days."""
    return math.pow(0.5, days / HALF_LIFE_DAYS)


def _words(text: str) -> str:
    """Return a text's words in lower case, a space around each, so that whole ones are found."""
    return "".join(f" {word} " for word in _WORD.findall(text.casefold()))
