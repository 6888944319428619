"""Profiles in either database: added to, read, corrected, erased, expired (S11, S12)."""

import threading
from collections.abc import Callable, Mapping

import pytest

from privacy.consent import NOTHING, Decision
from privacy.profile import City, Interest, Profile
from privacy.suggestions import Affinity
from sinks.ledger import consents, profiles
from sinks.ledger.consents import ConsentChange
from sinks.ledger.ledger import Ledger
from sinks.ledger.profiles import Seen, Signs

GENT = City("BE", "Gent")


def add(ledger: Ledger, cities: list[Seen], interests: Mapping[Seen, int] | None = None) -> None:
    with ledger.transaction() as connection:
        profiles.add(connection, Signs(cities, interests or {}))


def held(ledger: Ledger, whose: str = "p-1") -> Profile | None:
    with ledger.reading() as connection:
        return profiles.of(connection, whose)


def test_signs_add_up_and_a_day_in_a_city_counts_once(ledger: Ledger) -> None:
    assert held(ledger) is None
    add(ledger, [Seen("p-1", GENT, 100), Seen("p-2", GENT, 100)], {Seen("p-1", "wine", 100): 3})
    add(
        ledger,
        [Seen("p-1", GENT, 100), Seen("p-1", GENT, 99)],
        {Seen("p-1", "wine", 130): 1, Seen("p-1", "wine", 70): 2},
    )
    assert held(ledger) == Profile(
        130, {GENT: frozenset({99, 100})}, {"wine": Interest(pytest.approx(3.0), 130)}
    )
    assert held(ledger, "p-2") == Profile(100, {GENT: frozenset({100})})
    with ledger.reading() as connection:
        assert profiles.count(connection) == 2
        assert list(profiles.interests(connection, 130)) == [
            ("p-1", "wine", pytest.approx(3.0), 130)
        ]
        assert not list(profiles.interests(connection, 131))
    add(ledger, [], {})


def test_what_is_taken_out_stays_out_and_what_is_put_in_stays_in(ledger: Ledger) -> None:
    add(ledger, [], {Seen("p-1", "wine", 100): 3, Seen("p-1", "tea", 100): 1})
    with ledger.transaction() as connection:
        assert profiles.correct(connection, "p-1", {"tea", "cheese"}, 101)
        assert not profiles.correct(connection, "p-9", {"tea"}, 101)
    add(ledger, [], {Seen("p-1", "wine", 102): 9, Seen("p-1", "tea", 102): 1})
    found = held(ledger)
    assert found is not None
    assert found.interests.keys() == {"tea", "cheese"}
    assert found.corrected == {"wine": False, "tea": True, "cheese": True}
    with ledger.transaction() as connection:
        assert profiles.correct(connection, "p-1", {"wine"}, 103)
    found = held(ledger)
    assert found is not None
    assert found.corrected == {"wine": True, "tea": False, "cheese": False}
    assert found.interests == {"wine": Interest(1.0, 103)}
    assert held(ledger, "p-9") is None


def test_what_is_erased_is_nothing_and_nobody_elses(ledger: Ledger) -> None:
    for whose in ("p-1", "p-2"):
        add(ledger, [Seen(whose, GENT, 100)], {Seen(whose, "wine", 100): 1})
    with ledger.transaction() as connection:
        profiles.correct(connection, "p-1", {"tea"}, 100)
        assert profiles.erase(connection, ["p-1", "p-3"]) == 1
    with ledger.transaction() as connection:
        assert profiles.erase(connection, ["p-1"]) == 0
        for table in (*profiles._PARTS, profiles.profiles):
            left = {row.pseudonym for row in connection.execute(table.select())}
            assert left <= {"p-2"}
    assert held(ledger) is None
    assert held(ledger, "p-2") is not None


def test_what_is_too_old_is_deleted_a_piece_at_a_time(ledger: Ledger) -> None:
    add(
        ledger,
        [Seen("old", GENT, 90), Seen("older", GENT, 80), Seen("new", GENT, 98)],
        {Seen("new", "wine", 99): 1, Seen("new", "tea", 150): 1},
    )
    with ledger.transaction() as connection:
        assert profiles.expire(connection, 100, 120, 1) == 1
        assert profiles.expire(connection, 100, 120, 9) == 1
        assert profiles.expire(connection, 100, 120, 9) == 0
        assert profiles.count(connection) == 1
    found = held(ledger, "new")
    assert found is not None
    assert (found.cities, found.interests.keys()) == ({}, {"tea"})


def test_what_goes_together_replaces_what_did(ledger: Ledger) -> None:
    for found in ([Affinity("tea", "wine", 0.5)], [Affinity("tea", "tea", 1.0)], []):
        with ledger.transaction() as connection:
            profiles.put_affinities(connection, found)
        with ledger.reading() as connection:
            assert profiles.affinities(connection) == found


def test_an_erasure_waits_for_whoever_is_adding(ledger: Ledger) -> None:
    """Whichever comes first: what was added before is gone after it."""
    add(ledger, [Seen("p-1", GENT, 1)])
    adding, erased = threading.Event(), threading.Event()

    def erase() -> None:
        adding.wait(10)
        with ledger.transaction() as connection:
            profiles.erase(connection, ["p-1"])
        erased.set()

    thread = threading.Thread(target=erase)
    thread.start()
    with ledger.transaction() as connection:
        profiles.add(connection, Signs([Seen("p-1", GENT, 2)], {Seen("p-1", "wine", 2): 1}))
        adding.set()
        assert not erased.wait(0.2)
    thread.join(10)
    assert erased.is_set()
    with ledger.reading() as connection:
        assert profiles.of(connection, "p-1") is None
        assert not list(profiles.interests(connection, 0))


def test_a_no_waits_for_whoever_is_adding_also_to_a_profile_that_is_new(
    ledger: Ledger, change: Callable[..., ConsentChange]
) -> None:
    """The ledger has not heard of the consent yet: there is no row of visitor or profile."""
    adding, ended = threading.Event(), threading.Event()

    def withdraw() -> None:
        adding.wait(10)
        with ledger.transaction() as connection:
            changes = [
                change(4, Decision.GIVEN, "suggest"),
                change(5, Decision.WITHDRAWN, "suggest"),
            ]
            consents.record(connection, changes, ads=())
            profiles.erase(connection, ["p-1"])
        ended.set()

    thread = threading.Thread(target=withdraw)
    thread.start()
    with ledger.transaction() as connection:
        assert consents.locked(connection, [("shop", "v-1")])["shop", "v-1"] == NOTHING
        adding.set()
        assert not ended.wait(0.2)
        profiles.add(connection, Signs([Seen("p-1", GENT, 2)], {}))
    thread.join(10)
    assert ended.is_set()
    assert held(ledger) is None
    with ledger.transaction() as connection:
        standing = consents.locked(connection, [("shop", "v-1")])["shop", "v-1"].standings
    assert standing["suggest"].decision == Decision.WITHDRAWN
