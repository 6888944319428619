"""What a withdrawal removes at a provider, and when."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from lethe.standins.desk import Answer
from privacy.ads import Contact
from privacy.consent import ERASURE, RESTRICTION, Decision
from privacy.outcome import Reason
from sinks.ads.contract import Request
from sinks.ads.meta import Meta
from sinks.ledger import consents, deliveries
from sinks.ledger.deliveries import State
from sinks.ledger.ledger import LedgerError
from sinks.ledger.reached import Reached
from sinks.ledger.withdrawals import Withdrawal
from streams import metrics
from streams.delivery import circuit
from streams.delivery.book import Entry
from streams.delivery.http import Attempt
from streams.delivery.parcels import Item, Parcel
from streams.delivery.removals import undoing
from streams.shared import now

Rig = Any  # of the conftest
SITE, OTHER = "shop.example", "other.example"
LATER = Answer(500, {"error": {"code": 2, "message": "later", "is_transient": True}})
REFUSED = Answer(400, {"error": {"code": 100, "message": "no"}})
MOMENT = 0.3  # seconds, where nothing is to be done in time


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "FIRST_WAIT", 0.02)


async def sent(rig: Rig, visitor: str = "a", site: str = SITE) -> int:
    """Give a consent and deliver by it; return the epoch."""
    epoch: int = rig.choose(visitor, Decision.GIVEN, site)
    await rig.deliver(rig.event(visitor, epoch, site=site, page=f"https://{site}/tea"))
    return epoch


async def due(rig: Rig) -> None:
    """Have one removal due."""
    await sent(rig)
    rig.choose("a", Decision.WITHDRAWN)
    assert await rig.settle() == 1


async def test_a_withdrawal_removes_what_was_sent_and_is_done(rig: Rig) -> None:
    await due(rig)
    assert await rig.remove()
    assert rig.removals() == 1
    assert not rig.remembered()
    assert rig.states() == {(State.DELIVERED, ""): 2}
    assert not rig.due()


async def test_without_a_withdrawal_nothing_is_removed(rig: Rig) -> None:
    epoch = await sent(rig)
    assert not await rig.settle()
    assert rig.remembered() == [(SITE, "a", epoch)]
    assert not rig.due()


async def test_nothing_is_due_before_the_withdrawal_is_effective(rig: Rig) -> None:
    """A dispatcher that has not passed it may have an event on its way."""
    await sent(rig)
    rig.choose("a", Decision.WITHDRAWN)
    assert not await rig.settle(passed=False)
    assert not rig.due()
    assert await rig.settle() == 1
    assert len(rig.due()) == 1


async def test_what_may_have_been_sent_is_remembered_before_it_is(rig: Rig) -> None:
    dispatcher, seen = rig.dispatcher(), []
    send = dispatcher._http.send

    async def sending(attempt: Any) -> Any:
        seen.append(rig.remembered())
        return await send(attempt)

    dispatcher._http.send = sending
    epoch = rig.choose("a", Decision.GIVEN)
    await rig.deliver(rig.event("a", epoch), dispatcher=dispatcher)
    assert seen == [[(SITE, "a", epoch)]]


async def test_what_is_not_sent_is_not_remembered(rig: Rig) -> None:
    epoch = rig.choose("a", Decision.GIVEN)
    rig.choose("a", Decision.WITHDRAWN)
    await rig.deliver(rig.event("a", epoch))
    assert not rig.remembered()


async def test_a_claim_that_failed_remembered_nothing(rig: Rig, monkeypatch: Any) -> None:
    epoch = rig.choose("a", Decision.GIVEN)
    real, calls = deliveries.claim, []

    def failing(*given: Any) -> Any:
        calls.append(None)
        if len(calls) == 1:
            raise LedgerError("OperationalError")
        return real(*given)

    monkeypatch.setattr(deliveries, "claim", failing)
    await rig.deliver(rig.event("a", epoch))
    assert rig.remembered() == [(SITE, "a", epoch)]


async def test_a_withdrawal_of_one_site_removes_nothing_at_another(rig: Rig) -> None:
    await sent(rig)
    there = await sent(rig, site=OTHER)
    rig.choose("a", Decision.WITHDRAWN)
    await rig.settle()
    assert [each.site for each in rig.due()] == [SITE]
    await rig.remove()
    assert rig.remembered() == [(OTHER, "a", there)]


async def test_what_a_new_consent_brought_stays(rig: Rig) -> None:
    await due(rig)
    again = await sent(rig)
    assert await rig.settle() == 0
    await rig.remove()
    assert rig.remembered() == [(SITE, "a", again)]
    assert not rig.due()
    rig.choose("a", Decision.WITHDRAWN)
    await rig.settle()
    assert [each.epoch for each in rig.due()] == [again]


async def test_a_change_that_cannot_be_read_counts(rig: Rig) -> None:
    epoch = await sent(rig)
    with rig.ledger.transaction() as connection:
        consents.deny(
            connection, SITE, "a", partition=0, offset=epoch, recorded_at=now(), purposes=["ads"]
        )
    rig.choices.change("stranger", Decision.GIVEN)  # it has an offset
    assert await rig.settle() == 1
    assert len(rig.due()) == 1


@pytest.mark.parametrize("deduplicates", [True, False])
async def test_a_removal_whose_answer_is_lost_is_sent_again(rig: Rig, deduplicates: bool) -> None:
    await due(rig)
    connector = rig.connector()
    connector.deduplicates = deduplicates
    rig.desk.mood("meta").vanish = 2  # a DELETE is tried twice by the HTTP client itself
    assert await rig.remove(rig.dispatcher(connector))
    assert rig.states() == {(State.DELIVERED, ""): 2}
    assert not rig.remembered()


async def test_a_removal_that_a_dead_dispatcher_claimed_is_sent_again(rig: Rig) -> None:
    await due(rig)
    connector = rig.connector()
    connector.deduplicates = False
    rig.dispatcher(connector)._book.claim([Entry(each, 0) for each in rig.due()], [])
    assert await rig.remove(rig.dispatcher(connector))
    assert rig.removals() == 1
    assert not rig.remembered()


async def test_what_is_not_taken_in_time_is_due_again(rig: Rig) -> None:
    """However long ago it fell due: a removal is not given up."""
    await due(rig)
    rig.desk.mood("meta").answers.extend([LATER] * 100)
    dispatcher = rig.dispatcher()
    dispatcher._patience = 0
    assert not await rig.remove(dispatcher, seconds=MOMENT, asking=1)
    assert rig.states() == {(State.DELIVERED, ""): 1, (State.RELEASED, ""): 1}
    rig.desk.mood("meta").answers.clear()
    assert await rig.remove()
    assert not rig.remembered()


async def test_what_stops_removals_stops_no_events(rig: Rig) -> None:
    await due(rig)
    other = await sent(rig, "b")
    rig.desk.mood("meta").answers.append(Answer(403, {"error": {"code": 200, "message": "no"}}))
    dispatcher = rig.dispatcher()
    assert not await rig.remove(dispatcher, seconds=MOMENT, asking=1)
    async with asyncio.timeout(5):
        await rig.deliver(rig.event("b", other), dispatcher=dispatcher)
    assert rig.states()[State.DELIVERED, ""] == 3


@pytest.mark.parametrize("before", [True, False])
async def test_a_refused_removal_is_told_and_not_tried_for_ever(
    rig: Rig, monkeypatch: Any, before: bool
) -> None:
    await due(rig)
    if before:
        monkeypatch.setattr(Meta, "refusal", lambda *_: Reason.NO_TARGET)
    else:
        rig.desk.mood("meta").answers.append(REFUSED)
    counter = metrics.ADS_REMOVED.labels("meta", "refused")
    was = counter._value.get()
    with capture_logs() as lines:
        assert await rig.remove()
    assert not rig.remembered()
    assert counter._value.get() == was + 1
    (line,) = [each for each in lines if each["event"] == "ads_removal_refused"]
    assert (line["provider"], line["reason"]) == ("meta", "no_target" if before else "100")
    assert not rig.letters


async def test_one_visitor_and_consent_are_one_removal(rig: Rig) -> None:
    epoch = await sent(rig)
    await rig.deliver(rig.event("a", epoch), rig.event("a", epoch))
    assert rig.remembered() == [(SITE, "a", epoch)]


async def test_under_a_restriction_a_removal_waits(rig: Rig) -> None:
    await due(rig)
    rig.choices.change("a", Decision.GIVEN, purpose=RESTRICTION)
    await rig.remove()
    assert not rig.removals()
    assert len(rig.due()) == 1
    rig.choices.change("a", Decision.WITHDRAWN, purpose=RESTRICTION)
    assert await rig.remove()
    assert rig.removals() == 1
    assert not rig.due()


async def test_an_erasure_holds_no_removal_up(rig: Rig) -> None:
    await due(rig)
    rig.choices.change("a", Decision.GIVEN, purpose=ERASURE)
    assert await rig.remove()
    assert rig.removals() == 1


def test_a_removal_is_named_by_all_that_it_undoes(rig: Rig) -> None:
    connector, event = rig.connector(), rig.event("a", 1)

    def name(**changes: Any) -> str:
        found = undoing(connector, Entry(replace(event, **changes), 0))
        assert found is not None
        return found.event_id

    assert name() == name(event_id="another", page="https://shop.example/coffee")
    assert undoing(connector, Entry(replace(event, member=False), 0)) is None
    assert len({name(), name(visitor="b"), name(site=OTHER), name(epoch=2)}) == 4


def test_nothing_shows_whom_it_is_about(rig: Rig) -> None:
    contact = Contact(email="ann@example.com", first_name="Ann")
    event = rig.event(
        "secret", 1, ids={"fbp": "secret"}, page="https://shop.example/secret", contact=contact
    )
    item = Item(Entry(event, 0))
    request = Request("POST", "https://example.com", b"secret")
    shown = repr([
        item,
        Parcel([item]),
        item.result(State.DELIVERED),
        Attempt(request, 0.0),
        contact,
        Reached("id", 0, SITE, "secret", None, {"fbp": "secret"}, 1),
        Withdrawal(1, 2, SITE, "secret", "ads"),
    ])  # fmt: skip
    assert "secret" not in shown
    assert "nn" not in shown.replace("None", "")
