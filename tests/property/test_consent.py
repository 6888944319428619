"""The columns of ``Standings`` decide exactly as ``privacy.consent`` does of one visitor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.consent import (
    ERASURE,
    NOTHING,
    RESTRICTION,
    Change,
    Consent,
    Decision,
    apply,
    deny,
    refusal,
    withheld,
)
from privacy.outcome import Reason
from privacy.standings import NO_EPOCH, REFUSALS, Standings

PURPOSES = ("ads", "location")
VISITORS = (b"shop.example|a", b"www.example|a", b"shop.example|b")

changes = st.lists(
    st.tuples(
        st.sampled_from(VISITORS),
        st.builds(
            Change,
            id=st.sampled_from("abcdef"),
            purpose=st.sampled_from((*PURPOSES, RESTRICTION, ERASURE, "elsewhere")),
            decision=st.sampled_from(Decision),
            epoch=st.integers(1, 30),
        ),
    ),
    max_size=30,
)


def folded(log: list[tuple[bytes, Change]]) -> dict[bytes, Consent]:
    held = dict.fromkeys(VISITORS, NOTHING)
    for visitor, change in log:
        if change.id == "f":  # stands for a change that cannot be read
            held[visitor] = deny(held[visitor], PURPOSES, change.epoch)
        else:
            held[visitor] = apply(held[visitor], change)
    return held


def columns(log: list[tuple[bytes, Change]], begin: dict[bytes, Consent]) -> Standings:
    standings = Standings(PURPOSES)
    for visitor, consent in begin.items():
        standings.put(visitor, consent)
    for visitor, change in log:
        if change.id == "f":
            standings.deny(visitor, change.epoch)
        else:
            standings.apply(visitor, change)
    return standings


@given(changes, st.integers(0, 30), st.lists(st.integers(-1, 31), min_size=3, max_size=3))
def test_columns_decide_as_one_visitor_does(
    log: list[tuple[bytes, Change]], cut: int, carried: list[int]
) -> None:
    """Whether the whole log is read, or its first part comes as states."""
    held = folded(log)
    visitors = [*VISITORS, b"shop.example|stranger", None]
    epochs = np.array([*carried, 1, 1])
    for standings in (columns(log, {}), columns(log[cut:], folded(log[:cut]))):
        assert [REFUSALS[code] for code in standings.withheld(visitors)] == [
            withheld(held.get(visitor or b"", NOTHING)) for visitor in visitors
        ]
        for purpose in PURPOSES:
            expected = [
                refusal(held.get(visitor or b"", NOTHING), purpose, None if e == NO_EPOCH else e)
                for visitor, e in zip(visitors, epochs.tolist(), strict=True)
            ]
            found = standings.refusals(visitors, purpose, epochs)
            assert [REFUSALS[code] for code in found] == expected
            decisions = [
                held[each].standings.get(purpose) if each in held else None
                for each in [v or b"" for v in visitors]
            ]
            assert standings.given(visitors, purpose).tolist() == [
                each is not None and each.decision == Decision.GIVEN for each in decisions
            ]
            assert standings.denied(visitors, purpose).tolist() == [
                each is not None and each.decision != Decision.GIVEN for each in decisions
            ]


@given(changes)
def test_what_is_not_given_now_releases_nothing(log: list[tuple[bytes, Change]]) -> None:
    for consent in folded(log).values():
        for purpose in PURPOSES:
            standing = consent.standings.get(purpose)
            if standing is None or standing.decision != Decision.GIVEN:
                assert all(refusal(consent, purpose, each) for each in [None, *range(40)])


def log_of(*decisions: tuple[str, Decision]) -> Consent:
    consent = NOTHING
    for offset, (change, decision) in enumerate(decisions):
        consent = apply(consent, Change(change, "ads", decision, offset + 1))
    return consent


def test_a_second_grant_releases_nothing_collected_before_it() -> None:
    consent = log_of(("a", Decision.GIVEN), ("b", Decision.WITHDRAWN), ("c", Decision.GIVEN))
    assert refusal(consent, "ads", 1) == Reason.CONSENT_OF_ANOTHER_TIME
    assert refusal(consent, "ads", 2) == Reason.CONSENT_OF_ANOTHER_TIME
    assert refusal(consent, "ads", 3) is None
    assert refusal(consent, "ads", 4) == Reason.CONSENT_OF_ANOTHER_TIME


def test_a_grant_that_arrives_again_after_its_withdrawal_gives_nothing() -> None:
    consent = log_of(("a", Decision.GIVEN), ("b", Decision.WITHDRAWN), ("a", Decision.GIVEN))
    assert refusal(consent, "ads", 3) == Reason.CONSENT_WITHDRAWN


def test_a_decision_that_is_repeated_keeps_its_beginning() -> None:
    consent = log_of(("a", Decision.GIVEN), ("b", Decision.GIVEN))
    assert refusal(consent, "ads", 1) is None


def test_unknown_is_never_yes() -> None:
    assert refusal(NOTHING, "ads", 1) == Reason.CONSENT_UNKNOWN
    assert refusal(NOTHING, "ads", None) == Reason.ADS_WITHOUT_CONSENT


def test_a_no_counts_whatever_its_id() -> None:
    consent = log_of(
        ("a", Decision.GIVEN),
        ("b", Decision.WITHDRAWN),
        ("c", Decision.GIVEN),
        ("a", Decision.WITHDRAWN),
    )
    assert refusal(consent, "ads", 3) == Reason.CONSENT_WITHDRAWN


def test_a_consent_that_is_over_spends_no_other_with_its_id() -> None:
    """A sender may give the changes of one click one id."""
    consent = log_of(("a", Decision.GIVEN), ("b", Decision.WITHDRAWN))
    consent = apply(consent, Change("a", "location", Decision.GIVEN, 3))
    assert refusal(consent, "location", 3) is None


@pytest.mark.parametrize(
    ("right", "reason"), [(RESTRICTION, Reason.RESTRICTED), (ERASURE, Reason.ERASED)]
)
def test_what_a_right_withholds_no_consent_releases(right: str, reason: Reason) -> None:
    consent = log_of(("a", Decision.GIVEN))
    consent = apply(consent, Change("b", right, Decision.GIVEN, 2))
    assert refusal(consent, "ads", 2) == withheld(consent) == reason
    consent = apply(consent, Change("c", "ads", Decision.WITHDRAWN, 3))
    consent = apply(consent, Change("d", "ads", Decision.GIVEN, 4))
    assert refusal(consent, "ads", 4) == reason
    # What cannot be read lifts nothing.
    assert withheld(deny(consent, PURPOSES, 5)) == reason


def test_a_restriction_that_is_over_leaves_consent_as_it_was() -> None:
    consent = log_of(("a", Decision.GIVEN))
    consent = apply(consent, Change("b", RESTRICTION, Decision.GIVEN, 2))
    consent = apply(consent, Change("c", RESTRICTION, Decision.WITHDRAWN, 3))
    assert refusal(consent, "ads", 1) is None
    # A hold that is over is not begun again by its duplicate.
    assert withheld(apply(consent, Change("b", RESTRICTION, Decision.GIVEN, 4))) is None


def test_an_erasure_that_is_over_leaves_nothing() -> None:
    consent = log_of(("a", Decision.GIVEN), ("b", Decision.WITHDRAWN))
    consent = apply(consent, Change("c", ERASURE, Decision.GIVEN, 3))
    assert apply(consent, Change("d", ERASURE, Decision.WITHDRAWN, 4)) == Consent(4)


def test_a_visitor_that_is_forgotten_is_as_one_never_seen() -> None:
    standings = Standings(PURPOSES)
    standings.apply(b"shop.example|a", Change("a", ERASURE, Decision.GIVEN, 1))
    standings.forget(b"shop.example|a")
    standings.forget(b"shop.example|b")
    assert standings.withheld([b"shop.example|a", None]).tolist() == [0, 0]
    standings.put(b"shop.example|a", apply(NOTHING, Change("b", "ads", Decision.GIVEN, 1)))
    assert standings.given([b"shop.example|a"], "ads").tolist() == [True]
