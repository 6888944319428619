"""Profiles go when they are too old, and all of them with the policy's section (S12)."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from privacy.durations import DAY_MS
from privacy.policy import Profiles
from privacy.profile import City
from sinks.keys.intake import make_missing, profile_key
from sinks.ledger import profiles as held
from sinks.ledger.ledger import Ledger
from sinks.ledger.profiles import Seen, Signs
from streams import profiles
from streams.settings import SettingsError

TODAY = 20_000
RULES = Profiles.model_validate({"purpose": "suggest", "kept_days": 60, "city_window_days": 30})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    seen = [Seen(f"p-{age}", City("BE", "Gent"), TODAY - age) for age in (0, 59, 60, 61, 62, 90)]
    with opened.transaction() as connection:
        held.add(connection, Signs(seen, {}))
    yield opened
    opened.close()


def left(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return held.count(connection)


def shared(ledger: Ledger, rules: Profiles | None, secrets: Path) -> Any:
    policy = SimpleNamespace(profiles=rules)
    settings = SimpleNamespace(secrets=secrets)
    return cast("Any", SimpleNamespace(ledger=ledger, known_policy=policy, settings=settings))


def test_what_is_older_than_the_policy_lets_it_be_goes_in_as_many_turns_as_it_takes(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "AT_ONCE", 2)
    assert profiles.expire(ledger, RULES, TODAY * DAY_MS) == 3
    assert profiles.expire(ledger, RULES, TODAY * DAY_MS) == 0
    assert left(ledger) == 3
    assert profiles.expire(ledger, RULES, (TODAY + 1) * DAY_MS) == 1


def test_without_profiles_in_the_policy_all_go(ledger: Ledger, tmp_path: Path) -> None:
    assert profiles.by_consent(shared(ledger, None, tmp_path)) is None
    assert left(ledger) == 0


def test_with_them_the_key_is_needed(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="profile-key; see lethe keys init"):
        profiles.by_consent(shared(ledger, RULES, tmp_path))
    make_missing(tmp_path)
    found = profiles.by_consent(shared(ledger, RULES, tmp_path))
    assert found is not None
    assert (found.purpose, found.key) == ("suggest", profile_key(tmp_path))
    assert found.key.hex() not in repr(found)
    assert left(ledger) == 6
