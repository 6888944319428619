import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy.consent import NOTHING, Change, Consent, Decision, Standing, apply
from sinks.ledger import withdrawals
from sinks.ledger.consents import ConsentChange, export, history, record, standing
from sinks.ledger.ledger import Ledger
from sinks.ledger.withdrawals import Withdrawal

GIVEN, REFUSED, WITHDRAWN, OBJECTED = Decision
ADS = {"ads"}
EXAMPLES = count()
Make = Callable[..., ConsentChange]


def keep(ledger: Ledger, *changes: ConsentChange) -> Consent:
    with ledger.transaction() as connection:
        return record(connection, changes, ads=ADS)[-1]


def found(ledger: Ledger, site: str = "shop", visitor: str = "v-1") -> Consent:
    with ledger.reading() as connection:
        return standing(connection, site, visitor)


def proof(ledger: Ledger, site: str = "shop", visitor: str = "v-1") -> list[ConsentChange]:
    with ledger.reading() as connection:
        return history(connection, site, visitor)


def unsettled(ledger: Ledger, partition: int = 3) -> list[Withdrawal]:
    with ledger.reading() as connection:
        return withdrawals.unsettled(connection, partition)


def test_nobody_who_was_never_asked_is_known(ledger: Ledger) -> None:
    assert found(ledger) == NOTHING
    assert proof(ledger) == []


def test_what_is_in_force_and_its_proof(ledger: Ledger, change: Make) -> None:
    given_, objected = change(4, GIVEN), change(9, OBJECTED, "analytics")
    after = keep(ledger, given_, objected)
    assert after == found(ledger)
    assert after == Consent(
        10,
        {"ads": Standing(GIVEN, 5, "change-4"), "analytics": Standing(OBJECTED, 10, "change-9")},
    )
    assert proof(ledger) == [given_, objected]


def test_a_signal_of_the_browser_has_no_notice(ledger: Ledger, change: Make) -> None:
    signal = change(1, REFUSED, how="gpc", notice_id=None, notice_version=None, language=None)
    keep(ledger, signal)
    assert proof(ledger) == [signal]


def test_consent_of_one_site_or_visitor_never_counts_for_another(
    ledger: Ledger, change: Make
) -> None:
    keep(ledger, change(1, GIVEN), change(2, REFUSED, visitor="v-2"))
    assert found(ledger, site="blog") == NOTHING
    assert found(ledger).standings["ads"].decision == GIVEN
    assert found(ledger, visitor="v-2").standings["ads"].decision == REFUSED
    assert len(proof(ledger)) == 1


def test_a_change_recorded_before_changes_nothing(ledger: Ledger, change: Make) -> None:
    changes = change(1, GIVEN), change(2, WITHDRAWN)
    after = keep(ledger, *changes)
    kept = proof(ledger), unsettled(ledger)
    assert keep(ledger, *changes, *reversed(changes)) == after == found(ledger)
    assert (proof(ledger), unsettled(ledger)) == kept


def test_the_retry_of_a_consent_that_is_over_gives_nothing(ledger: Ledger, change: Make) -> None:
    after = keep(ledger, change(1, GIVEN), change(2, WITHDRAWN))
    assert keep(ledger, change(3, GIVEN, id="change-1")) == after
    assert len(proof(ledger)) == 2


def test_a_retry_that_decides_nothing_is_proved_once(ledger: Ledger, change: Make) -> None:
    first, again = change(1, GIVEN), change(2, GIVEN, id="change-1")
    after = keep(ledger, first, again)
    assert after.epoch == 3, "as whoever reads the topic has it"
    assert after.standings["ads"].since == 2
    assert proof(ledger) == [first]


def test_a_retry_that_decides_is_proved(ledger: Ledger, change: Make) -> None:
    """A no that arrives again after a yes is a no, and the history says where it came from."""
    changes = [change(1, REFUSED), change(2, GIVEN), change(3, REFUSED, id="change-1")]
    assert keep(ledger, *changes).standings["ads"].decision == REFUSED
    assert proof(ledger) == changes


def test_only_a_given_ads_consent_can_be_withdrawn(ledger: Ledger, change: Make) -> None:
    keep(
        ledger,
        change(1, REFUSED),
        change(2, GIVEN, "location"),
        change(3, WITHDRAWN, "location"),
        change(4, GIVEN),
        change(5, GIVEN),
        change(6, OBJECTED),
        change(7, WITHDRAWN),
    )
    assert unsettled(ledger) == [Withdrawal(6, 2_006, "shop", "v-1", "ads")]


def test_a_withdrawal_is_recorded_at_once_and_effective_later(ledger: Ledger, change: Make) -> None:
    keep(ledger, change(1, GIVEN), change(2, WITHDRAWN), change(3, GIVEN), change(5, REFUSED))
    keep(ledger, change(4, GIVEN, partition=1, visitor="v-2"))
    keep(ledger, change(6, WITHDRAWN, partition=1, visitor="v-2"))
    first, second = (Withdrawal(each, 2_000 + each, "shop", "v-1", "ads") for each in (2, 5))
    assert unsettled(ledger) == [first, second]
    with ledger.transaction() as connection:
        assert withdrawals.settle(connection, 3, 4, 3_000) == [first]
        assert withdrawals.settle(connection, 3, 4, 4_000) == [], "once"
    assert unsettled(ledger) == [second]
    assert unsettled(ledger, partition=1) == [Withdrawal(6, 2_006, "shop", "v-2", "ads")]
    assert [each.effective_at for each in proof(ledger)] == [None, 3_000, None, None]


def test_a_site_s_consents_are_exported_whole_and_alone(ledger: Ledger, change: Make) -> None:
    # More than are fetched at once.
    wanted = [change(n, GIVEN, visitor=f"v-{n:04}") for n in range(1_001)]
    keep(ledger, *wanted, change(1, GIVEN, site="blog"))
    with ledger.reading() as connection:
        assert list(export(connection, "shop")) == wanted


def test_two_who_change_one_visitor_s_consent_at_once_lose_none(
    ledger: Ledger, change: Make
) -> None:
    """Each partition has one reader; but one that was paused may still believe to be it."""
    start = threading.Barrier(2, timeout=20)

    def work(offset: int, purpose: str) -> None:
        for n in range(10):
            start.wait()
            keep(ledger, change(offset, GIVEN, purpose, visitor=f"v-{n}"))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (1, 2), ("analytics", "location")))
    for n in range(10):
        in_force = found(ledger, visitor=f"v-{n}").standings
        assert "location" in in_force
        assert in_force.keys() == {each.purpose for each in proof(ledger, visitor=f"v-{n}")}


def test_nobody_shows(ledger: Ledger, change: Make) -> None:
    keep(ledger, change(1, GIVEN, visitor="v-secret"))
    assert "v-secret" not in repr(proof(ledger, visitor="v-secret"))


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["ads", "analytics"]),
        st.sampled_from(list(Decision)),
        st.booleans(),  # delivered twice
    ),
    max_size=12,
)


@given(changes=CHANGES)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_ledger_holds_what_whoever_reads_the_topic_finds(
    ledger: Ledger, change: Make, changes: list[tuple[str, str, Decision, bool]]
) -> None:
    read, example = NOTHING, next(EXAMPLES)
    visitor = f"v-{example}"
    with ledger.transaction() as connection:
        for offset, (id_, purpose, decision, twice) in enumerate(changes):
            read = apply(read, Change(id_, purpose, decision, offset + 1))
            made = change(offset, decision, purpose, id=id_, visitor=visitor, partition=example)
            for _ in range(1 + twice):
                record(connection, [made], ads=ADS)
    assert found(ledger, visitor=visitor) == read
