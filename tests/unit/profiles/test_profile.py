"""Signs, cosine and suggestions by example (S11, S12)."""

import pytest

from privacy.policy import Profiles
from privacy.profile import Interest, Profile, grown, signs, strengths
from privacy.suggestions import Affinity, Suggestions, affinities, suggest

TODAY = 20_000
RULES = Profiles.model_validate(
    {
        "purpose": "profile",
        "interests": {
            "wine": {"title": "Wine", "pages": ["/wine*"], "terms": ["wine", "red grape"]},
            "cheese": {"title": "Cheese", "pages": ["/cheese*"]},
        },
        "contacts": {
            "cellar": {"title": "Cellar", "contact": "cellar@example.com", "interests": ["wine"]}
        },
        "content": {"pages": ["/about", "/wine/guide", "/cheese/guide"]},
    }
)


@pytest.mark.parametrize(
    ("page", "terms", "found"),
    [
        ("/wine/red", None, ("wine",)),
        ("/wines?q=cheese", "", ("wine",)),
        ("/news", "cheap WINE, please", ("wine",)),
        ("/news", "a red grape", ("wine",)),
        ("/news", "grape red", ()),
        ("/news", "winery", ()),
        ("/cheese", "wine", ("wine", "cheese")),
        (None, None, ()),
    ],
)
def test_pages_and_whole_words_show_an_interest(
    page: str | None, terms: str | None, found: tuple[str, ...]
) -> None:
    assert signs(RULES, page, terms) == found


def test_a_sign_counts_half_after_thirty_days() -> None:
    assert grown(Interest(4.0, TODAY - 30), 1, TODAY) == Interest(3.0, TODAY)
    profile = Profile(TODAY, {}, {"wine": Interest(4.0, TODAY - 60)})
    assert strengths(profile, RULES, TODAY) == {"wine": 1.0}


def test_an_interest_that_the_policy_no_longer_names_is_none() -> None:
    profile = Profile(TODAY, {}, {"beer": Interest(4.0, TODAY)}, {"cider": True})
    assert strengths(profile, RULES, TODAY) == {}


def test_interests_go_together_by_the_cosine_of_their_columns() -> None:
    people = [{"wine", "cheese"}] * 10 + [{"wine"}] * 30
    rows = [(f"p{n}", each, 1.0, TODAY) for n, own in enumerate(people) for each in sorted(own)]
    found = {(a, b): similarity for a, b, similarity in affinities(rows, ["wine", "cheese"], TODAY)}
    assert found == {
        ("wine", "wine"): pytest.approx(1.0),
        ("cheese", "cheese"): pytest.approx(1.0),
        ("wine", "cheese"): pytest.approx(0.5),  # 10 / sqrt(40 * 10)
        ("cheese", "wine"): pytest.approx(0.5),
    }
    assert affinities(rows[2:], ["wine", "cheese"], TODAY) == [
        Affinity("wine", "wine", pytest.approx(1.0))
    ]
    assert affinities([], ["wine"], TODAY) == []


def test_content_and_contacts_come_by_what_goes_with_a_persons_interests() -> None:
    known = [
        Affinity("wine", "wine", 1.0), Affinity("cheese", "cheese", 1.0),
        Affinity("cheese", "wine", 0.5), Affinity("wine", "cheese", 0.5),
    ]  # fmt: skip
    assert suggest({"cheese": 2.0}, known, RULES) == Suggestions(
        ("/cheese/guide", "/wine/guide"), ("cellar",)
    )
    assert suggest({}, known, RULES) == Suggestions()
    assert suggest({"cheese": 2.0}, [], RULES) == Suggestions()
