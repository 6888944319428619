"""What is shown of a profile, for how long, and what a person's own word is worth (S11, S12)."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from privacy.policy import Profiles
from privacy.profile import (
    City,
    Interest,
    Profile,
    corrected,
    first_city_day,
    first_day,
    grown,
    pseudonym,
    regular_cities,
    signs,
    strengths,
)
from privacy.suggestions import FEWEST, affinities, suggest

NAMES = ("tea", "wine", "cheese", "bread")
TODAY = 20_000
RULES = Profiles.model_validate(
    {
        "purpose": "profile",
        "city_days": 3,
        "city_window_days": 30,
        "kept_days": 60,
        "interests": {
            name: {"title": name.title(), "pages": [f"/{name}*"], "terms": [name]} for name in NAMES
        },
        "contacts": {
            f"{name}-desk": {"title": name, "contact": f"{name}@example.com", "interests": [name]}
            for name in NAMES
        },
        "content": {"pages": [f"/{name}/guide" for name in NAMES]},
    }
)
days = st.integers(TODAY - 100, TODAY + 2)
cities = st.sampled_from([City("BE", "Gent"), City("NL", "Delft"), City("FR", "Lille")])
names = st.sampled_from(NAMES)
profiles = st.builds(
    Profile,
    days,
    st.dictionaries(cities, st.frozensets(days, max_size=8)),
    st.dictionaries(names, st.builds(Interest, st.floats(0.1, 50), days)),
    st.dictionaries(names, st.booleans()),
)
held = st.lists(st.sets(names), max_size=40)


@given(profiles)
def test_a_city_is_shown_when_it_was_seen_on_enough_days_of_the_window_and_never_otherwise(
    profile: Profile,
) -> None:
    shown = regular_cities(profile, RULES, TODAY)
    for city, seen in profile.cities.items():
        lately = {day for day in seen if TODAY - 30 < day <= TODAY}
        assert (city in shown) == (len(lately) >= 3)


@given(profiles, st.integers(0, 200))
def test_what_is_too_old_is_not_told_even_while_it_is_still_held(
    profile: Profile, later: int
) -> None:
    today = TODAY + later
    told = strengths(profile, RULES, today)
    for name in told:
        recent = name in profile.interests and profile.interests[name].last_day >= today - 60
        assert recent or profile.corrected[name]
    assert first_day(RULES, today) == today - 60
    assert first_city_day(RULES, today) == today - 29


@given(profiles, st.sets(names), st.lists(st.tuples(names, st.integers(1, 9), days)))
def test_a_correction_stands_whatever_is_seen_afterwards(
    profile: Profile, wanted: set[str], later: list[tuple[str, int, int]]
) -> None:
    said = corrected(profile, wanted)
    interests: dict[str, Interest] = dict(profile.interests)
    for name, count, day in later:
        interests[name] = grown(interests.get(name), count, day)
    after = strengths(Profile(TODAY, {}, interests, said), RULES, TODAY)
    assert wanted <= after.keys()
    taken_out = {*profile.interests, *profile.corrected} - wanted
    assert not taken_out & after.keys()


@given(st.permutations([(1, 5, TODAY), (2, 1, TODAY - 9), (3, 2, TODAY - 40)]))
def test_signs_count_alike_in_whatever_order_they_come(order: list[tuple[int, int, int]]) -> None:
    def counted(signs: list[tuple[int, int, int]]) -> Interest:
        interest: Interest | None = None
        for _, count, day in signs:
            interest = grown(interest, count, day)
        assert interest is not None
        return interest

    found, expected = counted(order), counted(sorted(order))
    assert found.last_day == expected.last_day
    assert abs(found.weight - expected.weight) < 1e-9


@given(st.text(), st.text())
def test_of_what_is_read_and_searched_only_names_of_the_policy_are_kept(
    page: str, terms: str
) -> None:
    assert set(signs(RULES, page, terms)) <= set(NAMES)


@given(held, st.dictionaries(names, st.floats(0.1, 9)))
def test_nothing_is_suggested_that_fewer_than_ten_profiles_share(
    people: list[set[str]], mine: Mapping[str, float]
) -> None:
    rows = [
        (f"p-{number}", name, 1.0, TODAY)
        for number, interests in enumerate(people)
        for name in interests
    ]
    suggested = suggest(mine, affinities(rows, NAMES, TODAY), RULES)
    for page in suggested.content:
        about = page.split("/")[1]
        shared = [sum({about, own} <= each for each in people) for own in mine]
        assert max(shared, default=0) >= FEWEST
    for contact in suggested.contacts:
        about = contact.removesuffix("-desk")
        assert any(sum({about, own} <= each for each in people) >= FEWEST for own in mine)


@given(st.binary(min_size=32, max_size=32), st.text(max_size=9), st.text(max_size=9))
def test_a_pseudonym_holds_neither_site_nor_cookie_and_needs_the_key(
    key: bytes, site: str, cookie: str
) -> None:
    whose = pseudonym(key, site, cookie)
    assert len(whose) == 32
    assert set(whose) <= set("0123456789abcdef")
    assert whose != pseudonym(bytes(32) if any(key) else b"1" * 32, site, cookie)
