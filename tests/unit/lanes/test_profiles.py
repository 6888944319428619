"""What the profiles lane makes of events, and what it leaves be (S11, S12)."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from privacy.consent import RESTRICTION, Decision
from privacy.durations import DAY_MS
from privacy.policy import Profiles
from privacy.profile import City, pseudonym
from privacy.standings import Standings
from sinks.ledger import consents as recorded
from sinks.ledger import profiles
from sinks.ledger.consents import ConsentChange
from sinks.ledger.ledger import Ledger
from streams.lanes.profile_erasure import ProfilesByConsent
from streams.lanes.profiles import Profiler, ProfilesLane

KEY = b"k" * 32
RULES = Profiles.model_validate(
    {
        "purpose": "suggest",
        "interests": {
            "tea": {"title": "Tea", "pages": ["/tea*"]},
            "wine": {"title": "Wine", "terms": ["wine"]},
        },
    }
)
TODAY = 1_795_000_000_000 // DAY_MS


class Everybody:
    """The consents of the topic: given since epoch 5."""

    def refusals(
        self, visitors: Sequence[bytes | None], purpose: str, carried: np.ndarray
    ) -> np.ndarray:
        known = Standings([purpose])
        for visitor in visitors:
            known.apply(visitor or b"", change(5))
        return known.refusals(visitors, purpose, carried)


def change(epoch: int, decision: Decision = Decision.GIVEN, purpose: str = "suggest") -> Any:
    return ConsentChange(
        "shop.example", "c-1", epoch - 1, 0, f"change-{epoch}", purpose, decision,
        "banner", "1", None, "api", 1, 2,
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture
def see(ledger: Ledger, broker: Any, rules: Any) -> Callable[..., Any]:
    """Have the lane read these events, and return the profile of c-1."""

    def read(*values: bytes) -> Any:
        for value in values:
            broker.put("tracking-events", b"key", value)
        stop = threading.Event()
        source = broker.consumer(stop.set)
        source.subscribe(["tracking-events"])
        ProfilesLane(
            Profiler(RULES, KEY), lambda: rules, Everybody(), ledger,
            consumer=source, known=lambda _: True, batch=100, wait=0.01,
            clock=lambda: 1_795_000_000_000,
        ).run(stop)  # fmt: skip
        with ledger.reading() as connection:
            return profiles.of(connection, pseudonym(KEY, "shop.example", "c-1"))

    return read


def record(ledger: Ledger, *changes: ConsentChange) -> None:
    with ledger.transaction() as connection:
        recorded.record(connection, changes, ads=())


def test_an_event_becomes_a_city_and_interests_and_nothing_else(
    see: Callable[..., Any], event: Callable[..., bytes], ledger: Ledger
) -> None:
    profile = see(event(consent_epoch=5, search_terms="red wine"), event(consent_epoch=5))
    assert profile.cities == {City("BE", "Ghent"): frozenset({TODAY})}
    # The site did not opt in to search terms: those are left out before they are compared.
    assert {name: each.weight for name, each in profile.interests.items()} == {"tea": 2.0}
    with ledger.reading() as connection:
        rows = [
            str(row)
            for table in (*profiles._PARTS, profiles.profiles)
            for row in connection.execute(table.select())
        ]
    for value in ("c-1", "shop.example", "192.0.2", "/tea", "red wine", "d-1", "s-1"):
        assert not any(value in row for row in rows)


@pytest.mark.parametrize(
    "fields",
    [
        {"consent_epoch": None},
        {"consent_epoch": 4},
        {"consent_epoch": 6},
        {"consent_epoch": 5, "cookie_id": None},
        {"consent_epoch": 5, "site": "other.example"},
        {"consent_epoch": 5, "ip": "192.0.2.7"},
    ],
)
def test_without_a_consent_that_stands_or_against_the_contract_nothing_is_kept(
    see: Callable[..., Any], event: Callable[..., bytes], fields: dict[str, Any], ledger: Ledger
) -> None:
    assert see(event(**fields), b"no event") is None
    with ledger.reading() as connection:
        assert profiles.count(connection) == 0


def test_what_is_delivered_again_counts_nothing_twice(
    see: Callable[..., Any], event: Callable[..., bytes], broker: Any
) -> None:
    once = see(event(consent_epoch=5))
    broker.committed.clear()
    assert see() == once


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        ([], True),  # the ledger has not heard of the consent yet
        ([change(3, Decision.WITHDRAWN)], True),  # nor of the one that came after
        ([change(5)], True),
        ([change(5), change(7, Decision.WITHDRAWN)], False),
        ([change(5), change(7, Decision.WITHDRAWN), change(8)], False),
        ([change(5), change(7, purpose=RESTRICTION)], False),
    ],
)
def test_a_no_that_the_ledger_knows_counts_though_it_came_after_the_look_at_the_topic(
    see: Callable[..., Any], event: Callable[..., bytes], ledger: Ledger,
    later: list[ConsentChange], kept: bool,
) -> None:  # fmt: skip
    record(ledger, *later)
    assert (see(event(consent_epoch=5)) is not None) == kept


@pytest.mark.parametrize(
    ("last", "ends"),
    [
        (change(9, Decision.WITHDRAWN), True),
        (change(9, Decision.OBJECTED), True),
        (change(9, Decision.REFUSED), True),
        (change(9, purpose="erasure"), True),
        (change(9, Decision.WITHDRAWN, "erasure"), True),
        (change(9), False),
        (change(9, Decision.WITHDRAWN, "ads"), False),
        (change(9, purpose=RESTRICTION), False),
    ],
)
def test_a_profile_ends_with_its_consent_and_with_an_erasure(
    last: ConsentChange, ends: bool
) -> None:
    assert ProfilesByConsent("suggest", KEY).ends(last) == ends
