"""Visitors' profiles, each under its pseudonym (S11, S12): see ``privacy.profile``.

Pseudonyms come in as arguments; nothing here knows a cookie id. Days are those since 1970, UTC.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from privacy.profile import City, Interest, Profile, corrected, grown
from privacy.suggestions import Affinity
from sinks.ledger import upsert
from sinks.ledger.journal import note
from sinks.ledger.tables import (
    profile_affinities,
    profile_cities,
    profile_corrections,
    profile_interests,
    profiles,
)

_AT_ONCE = 1_000  # pseudonyms in a statement
_PARTS = (profile_cities, profile_interests, profile_corrections)


class Seen(NamedTuple):
    """Whose city or interest it was, and on which day. ``what`` is a City or an interest."""

    pseudonym: str
    what: Any
    day: int


@dataclass(frozen=True, slots=True)
class Signs:
    """What a batch of events says: cities, and interests with the number of their signs."""

    cities: Collection[Seen] = field(repr=False)
    interests: Mapping[Seen, int] = field(repr=False)


def add(connection: Connection, signs: Signs) -> None:
    """Add signs to the profiles they are of. What a person took out is not put in again."""
    last: dict[str, int] = {}
    for each in (*signs.cities, *signs.interests):
        last[each.pseudonym] = max(each.day, last.get(each.pseudonym, each.day))
    if not last:
        return
    _touch(connection, last)
    if signs.cities:
        new = upsert.insert(connection, profile_cities).on_conflict_do_nothing()
        connection.execute(
            new,
            [
                {"pseudonym": each.pseudonym, **each.what._asdict(), "day": each.day}
                for each in signs.cities
            ],
        )
    held = _interests(connection, {each.pseudonym for each in signs.interests})
    taken_out = _taken_out(connection, {each.pseudonym for each in signs.interests})
    changed: dict[tuple[str, str], Interest] = {}
    for each, count in signs.interests.items():
        which = each.pseudonym, each.what
        if which not in taken_out:
            before = changed.get(which) or held.get(which)
            changed[which] = grown(before, count, each.day)
    _put(connection, changed)


def of(connection: Connection, pseudonym: str) -> Profile | None:
    """Return all that is held of a pseudonym, also cities that are not shown; None: nothing."""
    last_day = connection.scalar(
        select(profiles.c.last_day).where(profiles.c.pseudonym == pseudonym)
    )
    return None if last_day is None else _profile(connection, pseudonym, last_day)


def correct(connection: Connection, pseudonym: str, wanted: Collection[str], day: int) -> bool:
    """Have a person's interests be exactly ``wanted``, until they say otherwise (S19).

    False: there is no profile, and none is made. What was taken out is deleted.
    """
    mine = profiles.c.pseudonym == pseudonym
    if connection.execute(select(profiles).where(mine).with_for_update()).first() is None:
        return False
    note(connection, "profiles", ids=[pseudonym])  # what was taken out is not to come back
    _touch(connection, {pseudonym: day})
    held = _profile(connection, pseudonym, day)
    said = corrected(held, wanted)
    for table in (profile_interests, profile_corrections):
        gone = [name for name, put_in in said.items() if table is profile_corrections or not put_in]
        connection.execute(
            delete(table).where(table.c.pseudonym == pseudonym, table.c.interest.in_(gone))
        )
    if said:
        connection.execute(
            insert(profile_corrections),
            [
                {"pseudonym": pseudonym, "interest": name, "put_in": int(put_in)}
                for name, put_in in said.items()
            ],
        )
    new = {(pseudonym, name): grown(None, 1, day) for name in {*wanted} - held.interests.keys()}
    _put(connection, new)
    return True


def erase(connection: Connection, pseudonyms: Collection[str]) -> int:
    """Delete profiles with all that belongs to them; return how many there were."""
    erased = 0
    for some in _some(pseudonyms):
        # The profile first: who would add to it waits for our end, or we for theirs.
        gone = delete(profiles).where(profiles.c.pseudonym.in_(some))
        found = sorted(connection.scalars(gone.returning(profiles.c.pseudonym)))
        if found:
            note(connection, "profiles", ids=found)
        erased += len(found)
        for table in _PARTS:
            connection.execute(delete(table).where(table.c.pseudonym.in_(some)))
    return erased


def expire(connection: Connection, first_day: int, first_city_day: int, limit: int) -> int:
    """Delete what is from before those days; return how many profiles that was all of.

    Up to ``limit`` profiles at a time: call again until it returns fewer.
    """
    old = select(profiles.c.pseudonym).where(profiles.c.last_day < first_day).limit(limit)
    erased = erase(connection, list(connection.scalars(old.with_for_update())))
    connection.execute(delete(profile_cities).where(profile_cities.c.day < first_city_day))
    connection.execute(delete(profile_interests).where(profile_interests.c.last_day < first_day))
    return erased


def count(connection: Connection) -> int:
    """Return how many profiles there are."""
    return connection.scalar(select(func.count()).select_from(profiles)) or 0


def interests(connection: Connection, first_day: int) -> Iterator[tuple[str, str, float, int]]:
    """Yield pseudonym, interest, weight and its day of all profiles, each profile's together."""
    query = (
        select(profile_interests)
        .where(profile_interests.c.last_day >= first_day)
        .order_by(profile_interests.c.pseudonym)
        .execution_options(yield_per=10_000)
    )
    for row in connection.execute(query):
        yield row.pseudonym, row.interest, row.weight, row.last_day


def put_affinities(connection: Connection, found: Sequence[Affinity]) -> None:
    """Keep which interests go together, in place of what was kept before."""
    connection.execute(delete(profile_affinities))
    if found:
        connection.execute(insert(profile_affinities), [each._asdict() for each in found])


def affinities(connection: Connection) -> list[Affinity]:
    """Return which interests go together."""
    return [Affinity(*row) for row in connection.execute(select(profile_affinities))]


def _touch(connection: Connection, last: Mapping[str, int]) -> None:
    """Have profiles, signs of which are as new as that; others who change them wait for our end."""
    new = upsert.insert(connection, profiles)
    later = new.excluded.last_day > profiles.c.last_day
    connection.execute(
        new.on_conflict_do_update(
            index_elements=[profiles.c.pseudonym],
            set_={"last_day": new.excluded.last_day},
            where=later,
        ),
        [{"pseudonym": each, "last_day": last[each]} for each in sorted(last)],
    )


def _put(connection: Connection, changed: Mapping[tuple[str, str], Interest]) -> None:
    if changed:
        new = upsert.insert(connection, profile_interests)
        connection.execute(
            new.on_conflict_do_update(
                index_elements=[profile_interests.c.pseudonym, profile_interests.c.interest],
                set_={"weight": new.excluded.weight, "last_day": new.excluded.last_day},
            ),
            [
                {
                    "pseudonym": pseudonym,
                    "interest": name,
                    "weight": interest.weight,
                    "last_day": interest.last_day,
                }
                for (pseudonym, name), interest in changed.items()
            ],
        )


def _profile(connection: Connection, pseudonym: str, last_day: int) -> Profile:
    cities: dict[City, set[int]] = {}
    seen = select(profile_cities).where(profile_cities.c.pseudonym == pseudonym)
    for row in connection.execute(seen):
        cities.setdefault(City(row.country, row.city), set()).add(row.day)
    said = select(profile_corrections).where(profile_corrections.c.pseudonym == pseudonym)
    return Profile(
        last_day,
        {city: frozenset(days) for city, days in cities.items()},
        {name: each for (_, name), each in _interests(connection, [pseudonym]).items()},
        {row.interest: bool(row.put_in) for row in connection.execute(said)},
    )


def _interests(
    connection: Connection, pseudonyms: Collection[str]
) -> dict[tuple[str, str], Interest]:
    return {
        (row.pseudonym, row.interest): Interest(row.weight, row.last_day)
        for some in _some(pseudonyms)
        for row in connection.execute(
            select(profile_interests).where(profile_interests.c.pseudonym.in_(some))
        )
    }


def _taken_out(connection: Connection, pseudonyms: Collection[str]) -> set[tuple[str, str]]:
    table = profile_corrections
    return {
        (row.pseudonym, row.interest)
        for some in _some(pseudonyms)
        for row in connection.execute(
            select(table.c.pseudonym, table.c.interest).where(
                table.c.pseudonym.in_(some), table.c.put_in == 0
            )
        )
    }


def _some(pseudonyms: Collection[str]) -> Iterator[Sequence[str]]:
    """Yield pseudonyms in pieces, in one order for everybody."""
    ordered = sorted(pseudonyms)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]
