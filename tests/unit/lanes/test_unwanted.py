"""Whose events the anonymise lane leaves out, and under which reason they are counted."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from privacy.consent import ERASURE, RESTRICTION, Change, Decision
from privacy.outcome import Reason
from privacy.policy import Covers
from privacy.standings import Standings
from streams.choices import PolicyChoices

Run = Any  # of the conftest


class Analytics:
    """A policy with one purpose, which bears a no."""

    def covering(self, what: Covers) -> Any:
        return {"statistics": self} if what is Covers.ANALYTICS else {}

    mode = "opt_out"


@pytest.fixture
def known() -> Standings:
    return Standings(["statistics"])


@pytest.fixture
def choices(known: Standings) -> PolicyChoices:
    return PolicyChoices(Analytics(), known)  # type: ignore[arg-type]


def decide(known: Standings, *changes: tuple[str, str, Decision]) -> None:
    for epoch, (visitor, purpose, decision) in enumerate(changes, 1):
        key = f"shop.example|{visitor}".encode()
        known.apply(key, Change(f"c{epoch}", purpose, decision, epoch))


@pytest.mark.parametrize("raw", [False, True])
def test_each_is_left_out_once_under_the_first_reason(
    run: Run, event: Callable[..., bytes], known: Standings, choices: PolicyChoices, raw: bool
) -> None:
    decide(
        known,
        ("c-1", RESTRICTION, Decision.GIVEN),
        ("c-1", "statistics", Decision.OBJECTED),
        ("c-2", ERASURE, Decision.GIVEN),
        ("c-3", "statistics", Decision.OBJECTED),
    )
    address = "192.0.2.7" if raw else "192.0.2.0"
    who: Sequence[str | None] = ["c-1", "c-1", "c-2", "c-3", "c-4", None]
    values = [event(cookie_id=each, ip=address) for each in who]
    result = run(*values, raw=raw, choices=choices)
    assert len(result.values) == 2
    assert not result.rejects
    assert result.remarks == {
        Reason.RESTRICTED: 2,
        Reason.ERASED: 1,
        Reason.ANALYTICS_OBJECTED: 1,
    }


def test_when_a_restriction_is_over_events_are_used_again(
    run: Run, event: Callable[..., bytes], known: Standings, choices: PolicyChoices
) -> None:
    decide(known, ("c-1", RESTRICTION, Decision.GIVEN), ("c-1", RESTRICTION, Decision.WITHDRAWN))
    assert len(run(event(), choices=choices).values) == 1


def test_without_a_restriction_nobody_is_looked_up(choices: PolicyChoices) -> None:
    class Unasked(list[bytes | None]):
        def __iter__(self) -> Any:
            raise AssertionError("looked up")

    assert choices.withheld(Unasked([b"shop.example|c-1"])) == {}
    assert np.array_equal(Standings([]).withheld(Unasked([None])), [0])
