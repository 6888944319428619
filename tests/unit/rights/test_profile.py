"""What a request does to a profile, and that doing it twice does no more (S18, S19, S22)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from privacy.durations import DAY_MS
from privacy.policy import Profiles
from privacy.profile import Profile, pseudonym
from privacy.rights.plan import Act, Command
from privacy.rights.request import Asked, Right
from sinks.ledger import profiles
from sinks.ledger.ledger import Ledger
from sinks.ledger.profiles import Seen, Signs
from sinks.ledger.requests import Request, State
from streams.rights.doing import Doing, Done
from streams.rights.profile import ProfileSteps

NOW = 1_795_000_000_000
KEY, SITE = b"k" * 32, "shop.example"
WHOSE = pseudonym(KEY, SITE, "c-1")
OTHER = pseudonym(KEY, "www.example", "c-1")
RULES = Profiles.model_validate(
    {
        "purpose": "suggest",
        "interests": {name: {"title": name, "terms": [name]} for name in ("tea", "wine", "bread")},
    }
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    signs = {Seen(each, "tea", NOW // DAY_MS - 5): 1 for each in (WHOSE, OTHER)}
    with opened.transaction() as connection:
        profiles.add(connection, Signs([], signs))
    yield opened
    opened.close()


@pytest.fixture
def do(ledger: Ledger) -> Callable[..., str]:
    """Do a step, and return its outcome."""
    handlers = ProfileSteps(RULES, KEY).handlers()

    def one(act: Act, cookie_id: str | None = "c-1", **corrections: str) -> str:
        asked = Asked(
            right=Right.RECTIFICATION, ground=None, email=None,
            site=cookie_id and SITE, cookie_id=cookie_id, language="en", service=None,
            purposes=(), corrections=corrections, statement=None, transfer_to=None, answer="",
        )  # fmt: skip
        request = Request(
            "r-1", "rectification", None, SITE, "en", None, True, State.PLANNED, NOW, NOW, None
        )
        with ledger.transaction() as connection:
            doing = Doing(request, asked, b"", Command(act), 1, NOW)
            done = handlers[act](connection, doing)
        assert isinstance(done, Done)
        assert not done.messages
        return done.outcome

    return one


def held(ledger: Ledger, whose: str = WHOSE) -> Any:
    with ledger.reading() as connection:
        return profiles.of(connection, whose)


def test_a_profile_is_erased_once_and_that_of_the_other_site_stays(
    do: Callable[..., str], ledger: Ledger
) -> None:
    assert do(Act.ERASE_PROFILE, None) == "no profile was held"
    assert do(Act.ERASE_PROFILE) == "profile erased"
    assert do(Act.ERASE_PROFILE) == "no profile was held"
    assert held(ledger) is None
    assert held(ledger, OTHER) is not None


def test_interests_that_are_named_replace_the_others(
    do: Callable[..., str], ledger: Ledger
) -> None:
    for _ in range(2):
        said = do(Act.CORRECT_PROFILE, interests=" wine, bread ,beer,")
        assert said == "interests corrected, 1 unknown"
        profile: Profile = held(ledger)
        assert profile.corrected == {"tea": False, "wine": True, "bread": True}
        assert profile.interests.keys() == {"wine", "bread"}
    assert do(Act.CORRECT_PROFILE, interests="") == "interests corrected"
    assert held(ledger).interests == {}


def test_where_there_is_no_profile_a_correction_makes_none(
    do: Callable[..., str], ledger: Ledger
) -> None:
    assert do(Act.CORRECT_PROFILE, "c-2", interests="wine") == "no profile was held"
    assert held(ledger, pseudonym(KEY, SITE, "c-2")) is None
