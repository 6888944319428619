"""One suite for every implementation of the port ``Consents``."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from privacy.consent import NOTHING, Consent, Decision, Standing
from sinks.ledger import consents as pages
from sinks.ledger.consents import ConsentChange
from sinks.ledger.ledger import Ledger
from streams.collector.consent_store import (
    Chosen,
    Consents,
    ConsentsUnavailableError,
    LedgerConsents,
    MemoryConsents,
    Notice,
)

SITE = "shop.example"
GIVEN = Chosen(
    Consent(5, {"ads": Standing(Decision.GIVEN, 5, "change-4")}), {"ads": Notice("cookies", "1")}
)


@dataclass
class Store:
    """An implementation; ``give`` has a visitor of SITE consent, ``away`` takes the store away."""

    consents: Consents
    give: Callable[[str], None]
    away: Callable[[], None]


def memory() -> Store:
    consents = MemoryConsents()
    return Store(
        consents,
        lambda visitor: consents.known.update({(SITE, visitor): GIVEN}),
        lambda: setattr(consents, "available", False),
    )


def of_ledger(ledger: Ledger, file: Path) -> Store:
    def give(visitor: str) -> None:
        change = ConsentChange(
            SITE, visitor, 4, 0, "change-4", "ads", Decision.GIVEN, "cookies", "1", None, "api",
            1, 2,
        )  # fmt: skip
        with ledger.transaction() as connection:
            pages.record(connection, [change], ads={"ads"})

    def away() -> None:
        ledger.close()
        file.write_bytes(b"c-1 is no database" * 100)

    return Store(LedgerConsents(ledger), give, away)


@pytest.fixture(params=["memory", "ledger"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield memory()
        return
    file = tmp_path / "ledger.db"
    ledger = Ledger.open(f"sqlite:///{file}")
    yield of_ledger(ledger, file)
    ledger.close()


async def test_nobody_who_was_never_asked_is_known(store: Store) -> None:
    assert await store.consents.of(SITE, "c-1") == Chosen()


async def test_what_a_visitor_chose_is_known(store: Store) -> None:
    store.give("c-1")
    assert await store.consents.of(SITE, "c-1") == GIVEN


async def test_consent_of_one_site_or_visitor_never_counts_for_another(store: Store) -> None:
    store.give("c-1")
    assert await store.consents.of("www.example", "c-1") == Chosen()
    assert await store.consents.of(SITE, "c-2") == Chosen()


@pytest.mark.parametrize(
    ("later", "notice"),
    [
        ([], Notice("cookies", "1")),
        ([("ads", Decision.GIVEN, "2")], Notice("cookies", "2")),
        ([("ads", Decision.REFUSED, None)], Notice("cookies", None)),
        ([("other", Decision.GIVEN, "2")], Notice("cookies", "1")),
    ],
)
async def test_the_notice_is_the_last_that_the_decision_was_made_on(
    tmp_path: Path, later: list[tuple[str, Decision, str | None]], notice: Notice
) -> None:
    """So that a site need not ask again who said yes to its newer notice."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    made = [("ads", Decision.REFUSED, "0"), ("ads", Decision.GIVEN, "1"), *later]
    changes = [
        ConsentChange(
            SITE, "c-1", offset, 0, f"change-{offset}", purpose, decision, "cookies", version, None,
            "api", 1, 2,
        )
        for offset, (purpose, decision, version) in enumerate(made)
    ]  # fmt: skip
    with ledger.transaction() as connection:
        pages.record(connection, changes, ads={"ads"})
    assert (await LedgerConsents(ledger).of(SITE, "c-1")).notices["ads"] == notice
    ledger.close()


async def test_what_cannot_be_read_was_said_on_no_notice(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    of_ledger(ledger, tmp_path).give("c-1")
    with ledger.transaction() as connection:
        pages.deny(connection, SITE, "c-1", partition=0, offset=9, recorded_at=3, purposes=["ads"])
    assert not (await LedgerConsents(ledger).of(SITE, "c-1")).notices
    ledger.close()


async def test_a_store_that_is_away_is_not_guessed_about(store: Store) -> None:
    store.give("c-1")
    store.away()
    with pytest.raises(ConsentsUnavailableError) as error:
        await store.consents.of(SITE, "c-1")
    assert "c-1" not in str(error.value)


async def test_the_ledger_is_not_waited_for_in_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def standing(*_: object) -> Consent:
        threads.append(threading.get_ident())
        return NOTHING

    monkeypatch.setattr(pages, "standing", standing)
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    await LedgerConsents(ledger).of(SITE, "c-1")
    ledger.close()
    assert threads
    assert threading.get_ident() not in threads
