import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from lethe.standins.desk import Answer
from privacy.consent import ERASURE, RESTRICTION, Decision
from privacy.outcome import Reason
from sinks.ads.contract import Limits
from sinks.ads.meta import Meta
from sinks.ledger.deliveries import State
from streams.delivery import circuit, dispatch
from streams.delivery.book import Claim, Entry
from streams.delivery.dispatch import Dispatcher
from streams.delivery.http import LostError
from streams.delivery.parcels import Item

Rig = Any  # of the conftest
LATER = Answer(500, {"error": {"code": 2, "message": "later", "is_transient": True}})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(dispatch, "RENEW_SECONDS", 0.02)


def fresh(rig: Rig) -> Meta:
    """Return a Meta that cannot tell twice from once."""
    made: Meta = rig.connector()
    made.deduplicates = False
    return made


async def test_consented_events_arrive_once(rig: Rig) -> None:
    epoch = rig.choices.change("a", Decision.GIVEN)
    events = [rig.event("a", epoch) for _ in range(7)]
    await rig.deliver(*events)
    assert rig.desk.taken == {("meta", each.event_id): 1 for each in events}
    assert rig.states() == {(State.DELIVERED, ""): 7}


async def test_what_is_delivered_again_is_not_sent_again(rig: Rig) -> None:
    event = rig.event("a", rig.choices.change("a", Decision.GIVEN))
    await rig.deliver(event)
    await rig.deliver(event, dispatcher=rig.dispatcher())
    assert len(rig.desk.calls) == 1


async def test_what_came_twice_at_once_is_sent_once(rig: Rig) -> None:
    event = rig.event("a", rig.choices.change("a", Decision.GIVEN))
    await rig.deliver(event, event)
    ((call, _),) = rig.desk.calls
    assert len(call.content["data"]) == 1
    assert rig.states() == {(State.DELIVERED, ""): 1}


async def test_without_consent_nothing_is_sent(rig: Rig) -> None:
    given = rig.choices.change("a", Decision.GIVEN)
    rig.choices.change("a", Decision.WITHDRAWN)
    again = rig.choices.change("b", Decision.GIVEN)
    await rig.deliver(rig.event("a", given), rig.event("stranger", 1), rig.event("b", given))
    assert not rig.desk.calls
    assert rig.states() == {
        (State.DROPPED, Reason.CONSENT_WITHDRAWN): 1,
        (State.DROPPED, Reason.CONSENT_UNKNOWN): 1,
        (State.DROPPED, Reason.CONSENT_OF_ANOTHER_TIME): 1,
    }
    await rig.deliver(rig.event("b", again))
    assert len(rig.desk.calls) == 1


@pytest.mark.parametrize(
    ("right", "reason"), [(RESTRICTION, Reason.RESTRICTED), (ERASURE, Reason.ERASED)]
)
async def test_what_a_right_withholds_is_dropped_and_counted(
    rig: Rig, right: str, reason: Reason
) -> None:
    epoch = rig.choose("a", Decision.GIVEN)
    rig.choices.change("a", Decision.GIVEN, purpose=right)
    await rig.deliver(rig.event("a", epoch))
    assert not rig.desk.calls
    assert rig.states() == {(State.DROPPED, reason): 1}


async def test_a_second_grant_releases_nothing_collected_before_it(rig: Rig) -> None:
    first = rig.choices.change("a", Decision.GIVEN)
    rig.choices.change("a", Decision.WITHDRAWN)
    rig.choices.change("a", Decision.GIVEN)
    await rig.deliver(rig.event("a", first))
    assert not rig.desk.calls


async def test_consent_is_looked_at_again_before_each_retry(rig: Rig, monkeypatch: Any) -> None:
    epoch = rig.choices.change("a", Decision.GIVEN)
    mood = rig.desk.mood("meta")
    mood.latency = 0.2
    mood.answers.append(LATER)
    dispatcher, on_its_way = rig.dispatcher(), asyncio.Event()
    send = dispatcher._http.send

    async def sending(attempt: Any) -> Any:
        on_its_way.set()
        return await send(attempt)

    monkeypatch.setattr(dispatcher._http, "send", sending)
    delivering = asyncio.create_task(rig.deliver(rig.event("a", epoch), dispatcher=dispatcher))
    await on_its_way.wait()
    rig.choices.change("a", Decision.WITHDRAWN)
    await delivering
    assert len(rig.desk.calls) == 1
    assert rig.states() == {(State.DROPPED, Reason.CONSENT_WITHDRAWN): 1}


async def test_while_consent_is_unknown_events_wait(rig: Rig) -> None:
    epoch = rig.choices.change("a", Decision.GIVEN)
    rig.choices.away = True
    delivering = asyncio.create_task(rig.deliver(rig.event("a", epoch)))
    await asyncio.sleep(0.2)
    assert not rig.desk.calls
    assert not delivering.done()
    rig.choices.away = False
    await delivering
    assert rig.states() == {(State.DELIVERED, ""): 1}


async def test_a_request_that_cannot_begin_within_the_lease_does_not(
    rig: Rig, monkeypatch: Any
) -> None:
    """The process is stopped between the look at consent and the first byte, as by SIGSTOP."""
    epoch = rig.choices.change("a", Decision.GIVEN)
    real, slept = rig.boottime, [0.0]
    rig.boottime = lambda: real() + slept[0]
    dispatcher = rig.dispatcher()
    send = dispatcher._http.send

    async def stopped(attempt: Any) -> Any:
        if not slept[0]:
            slept[0] = 60.0
            rig.choices.change("a", Decision.WITHDRAWN)
        return await send(attempt)

    monkeypatch.setattr(dispatcher._http, "send", stopped)
    await rig.deliver(rig.event("a", epoch), dispatcher=dispatcher)
    assert slept == [60.0]
    assert not rig.desk.calls
    assert rig.states() == {(State.DROPPED, Reason.CONSENT_WITHDRAWN): 1}


async def test_innocents_of_a_refused_batch_arrive(rig: Rig, monkeypatch: Any) -> None:
    """Meta blames nobody: halving finds the event from before Meta's time."""
    monkeypatch.setattr(Meta, "refusal", lambda *_: None)
    epoch = rig.choices.change("a", Decision.GIVEN)
    events = [rig.event("a", epoch) for _ in range(9)]
    guilty = rig.event("a", epoch, occurred_at=1_700_000_000_000)
    await rig.deliver(*events[:4], guilty, *events[4:])
    assert rig.desk.taken == {("meta", each.event_id): 1 for each in events}
    assert rig.states() == {
        (State.DELIVERED, ""): 9,
        (State.REFUSED, Reason.PROVIDER_REFUSED): 1,
    }
    assert [each.reason for each in rig.letters] == [Reason.PROVIDER_REFUSED]


async def test_what_the_provider_would_refuse_is_not_sent(rig: Rig) -> None:
    epoch = rig.choices.change("a", Decision.GIVEN)
    await rig.deliver(rig.event("a", epoch, user_agent=None), rig.event("a", epoch))
    assert rig.states() == {(State.REFUSED, Reason.NO_USER_AGENT): 1, (State.DELIVERED, ""): 1}


@pytest.mark.parametrize(
    ("deduplicates", "calls", "state"),
    [
        (True, 2, (State.DELIVERED, "")),
        (False, 1, (State.UNCERTAIN, Reason.PROVIDER_UNCERTAIN)),
    ],
)
async def test_a_lost_answer(
    rig: Rig, deduplicates: bool, calls: int, state: tuple[State, str]
) -> None:
    """Sent again only where the provider can tell twice from once."""
    epoch = rig.choices.change("a", Decision.GIVEN)
    rig.desk.mood("meta").vanish = 1
    event = rig.event("a", epoch)
    connector = rig.connector() if deduplicates else fresh(rig)
    await rig.deliver(event, dispatcher=rig.dispatcher(connector))
    assert len(rig.desk.calls) == calls
    assert rig.states() == {state: 1}


@pytest.mark.parametrize("deduplicates", [True, False])
async def test_what_a_dead_dispatcher_claimed(rig: Rig, deduplicates: bool) -> None:
    """It may or may not have been sent."""
    event = rig.event("a", rig.choices.change("a", Decision.GIVEN))
    connector = rig.connector() if deduplicates else fresh(rig)
    dead = rig.dispatcher(connector)
    dead._book.claim([Entry(event, 0)], [])
    await rig.deliver(event, dispatcher=rig.dispatcher(connector))
    assert len(rig.desk.calls) == deduplicates
    state = State.DELIVERED if deduplicates else State.UNCERTAIN
    assert {each for each, _ in rig.states()} == {state}


@pytest.mark.parametrize("deduplicates", [True, False])
async def test_what_a_dead_dispatcher_claimed_and_is_withdrawn_since(
    rig: Rig, deduplicates: bool
) -> None:
    """Not sent again, and not said to be left unsent either."""
    event = rig.event("a", rig.choices.change("a", Decision.GIVEN))
    connector = rig.connector() if deduplicates else fresh(rig)
    rig.dispatcher(connector)._book.claim([Entry(event, 0)], [])
    rig.choices.change("a", Decision.WITHDRAWN)
    await rig.deliver(event, dispatcher=rig.dispatcher(connector))
    assert not rig.desk.calls
    assert rig.states() == {(State.UNCERTAIN, Reason.PROVIDER_UNCERTAIN): 1}


async def test_what_is_uncertain_stays_so_when_it_is_read_again(rig: Rig) -> None:
    event = rig.event("a", rig.choices.change("a", Decision.GIVEN))
    rig.desk.mood("meta").vanish = 1
    await rig.deliver(event, dispatcher=rig.dispatcher(fresh(rig)))
    rig.choices.change("a", Decision.WITHDRAWN)
    await rig.deliver(event, dispatcher=rig.dispatcher(fresh(rig)))
    assert rig.states() == {(State.UNCERTAIN, Reason.PROVIDER_UNCERTAIN): 1}


async def test_nothing_is_sent_for_a_partition_that_went_away(rig: Rig) -> None:
    """It went away between the reading of its events and the lease."""
    event = rig.event("a", rig.choices.change("a", Decision.GIVEN))
    dispatcher = rig.dispatcher()
    dispatcher._gate._partitions = lambda: (1,)
    item = Item(Entry(event, 0), rig.message, event.occurred_at)
    until = rig.boottime() + 0.1
    assert not await dispatcher.deliver([item], lambda: rig.boottime() > until)
    assert not rig.desk.calls


async def test_a_ledger_slower_than_a_lease_holds_nothing_up(rig: Rig) -> None:
    epoch = rig.choices.change("a", Decision.GIVEN)
    dispatcher = rig.dispatcher()
    dispatcher._gate._seconds = 1.0
    claim = dispatcher._book.claim

    def slow(*given: Any) -> Any:
        time.sleep(1.1)
        return claim(*given)

    dispatcher._book.claim = slow
    with capture_logs() as lines:
        await rig.deliver(rig.event("a", epoch), dispatcher=dispatcher)
    assert rig.states() == {(State.DELIVERED, ""): 1}
    assert not lines


async def test_a_withdrawal_during_a_slow_claim_counts(rig: Rig) -> None:
    epoch = rig.choices.change("a", Decision.GIVEN)
    dispatcher = rig.dispatcher()
    dispatcher._gate._seconds = 0.2
    claim = dispatcher._book.claim

    def slow(*given: Any) -> Any:
        time.sleep(0.15)
        rig.choices.change("a", Decision.WITHDRAWN)
        return claim(*given)

    dispatcher._book.claim = slow
    await rig.deliver(rig.event("a", epoch), dispatcher=dispatcher)
    assert not rig.desk.calls
    assert rig.states() == {(State.DROPPED, Reason.CONSENT_WITHDRAWN): 1}


async def test_a_fault_with_one_leaves_the_others_written_down(rig: Rig, monkeypatch: Any) -> None:
    monkeypatch.setattr(Meta, "limits", Limits(events=1))
    monkeypatch.setattr(Meta, "refusal", lambda *_: None)
    epoch = rig.choices.change("a", Decision.GIVEN)
    dispatcher = rig.dispatcher()

    def broken(*_: object) -> None:
        raise BufferError

    dispatcher._judge._letter = broken
    guilty = rig.event("a", epoch, occurred_at=1_700_000_000_000)
    with capture_logs() as lines, pytest.raises(BufferError):
        await rig.deliver(guilty, rig.event("a", epoch), dispatcher=dispatcher)
    assert rig.states() == {(State.DELIVERED, ""): 1, (State.CLAIMED, ""): 1}
    assert [each["event"] for each in lines] == ["ads_failed"]
    assert not dispatcher._gate.lock.locked()


async def test_many_that_time_out_together_do_not_do_so_again(rig: Rig, monkeypatch: Any) -> None:
    """A provider that bears four requests at once gets no more, after a while."""
    monkeypatch.setattr(Meta, "limits", Limits(events=1))
    epoch = rig.choices.change("a", Decision.GIVEN)
    dispatcher = rig.dispatcher()
    send, under_way, lost = dispatcher._http.send, [], []

    async def bearing(attempt: Any) -> Any:
        under_way.append(attempt)
        try:
            await asyncio.sleep(0.005)
            if len(under_way) > 4:
                attempt.settled.set()
                lost.append(attempt)
                raise LostError("TimeoutError", begun=False)
            return await send(attempt)
        finally:
            under_way.remove(attempt)

    monkeypatch.setattr(dispatcher._http, "send", bearing)
    await rig.deliver(*(rig.event("a", epoch) for _ in range(100)), dispatcher=dispatcher)
    assert rig.states() == {(State.DELIVERED, ""): 100}
    assert len(lost) < 500


async def test_while_another_holds_the_partition_events_wait(rig: Rig) -> None:
    epoch = rig.choices.change("a", Decision.GIVEN)
    other = rig.dispatcher(name="other")
    await other._gate.renew()
    delivering = asyncio.create_task(rig.deliver(rig.event("a", epoch)))
    await asyncio.sleep(0.1)
    assert not rig.desk.calls
    other._book.leave()
    await delivering
    assert len(rig.desk.calls) == 1


async def test_a_throttled_provider_is_left_alone_for_as_long_as_it_says(
    rig: Rig, monkeypatch: Any
) -> None:
    monkeypatch.setattr(circuit, "LONGEST_WAIT", 0.2)
    epoch = rig.choices.change("a", Decision.GIVEN)
    throttled = Answer(500, {"error": {"code": 17, "message": "slower", "is_transient": True}})
    rig.desk.mood("meta").answers.append(throttled)
    await rig.deliver(rig.event("a", epoch))
    (first, _), (second, _) = rig.desk.calls
    assert second.began - first.began >= 190
    assert rig.states() == {(State.DELIVERED, ""): 1}


async def test_what_waited_too_long_is_given_up(rig: Rig) -> None:
    epoch = rig.choices.change("a", Decision.GIVEN)
    rig.desk.mood("meta").answers.extend([LATER] * 3)
    sender, late = rig.dispatcher(), rig.event("a", epoch)
    await rig.deliver(rig.event("a", epoch), dispatcher=sender)  # the broker's clock goes on too
    before = len(rig.desk.calls)
    await rig.deliver(late, dispatcher=sender, came=1_700_000_000_000)
    assert len(rig.desk.calls) == before
    assert rig.states()[State.DROPPED, Reason.PROVIDER_AWAY] == 1


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
async def test_a_clock_that_is_wrong_has_nothing_refused_or_given_up(rig: Rig, hours: int) -> None:
    rig.ahead = hours * 3_600_000
    await rig.deliver(rig.event("a", rig.choices.change("a", Decision.GIVEN)))
    assert rig.states() == {(State.DELIVERED, ""): 1}


async def test_a_stopped_provider_is_not_asked_until_somebody_had_time(
    rig: Rig, monkeypatch: Any
) -> None:
    monkeypatch.setattr(circuit, "STOPPED_WAIT", 0.2)
    epoch = rig.choices.change("a", Decision.GIVEN)
    refused = Answer(403, {"error": {"code": 200, "message": "no permission"}})
    rig.desk.mood("meta").answers.append(refused)
    await rig.deliver(rig.event("a", epoch))
    (first, _), (second, _) = rig.desk.calls
    assert second.began - first.began >= 190


async def test_limits_of_a_request_are_kept(rig: Rig, monkeypatch: Any) -> None:
    monkeypatch.setattr(Meta, "limits", Limits(events=3, body=1_000))
    epoch = rig.choices.change("a", Decision.GIVEN)
    events = [rig.event("a", epoch) for _ in range(10)]
    await rig.deliver(*events)
    assert all(len(call.content["data"]) <= 3 and call.size <= 1_000 for call, _ in rig.desk.calls)
    assert sum(rig.desk.taken.values()) == 10


async def test_stopping_leaves_what_was_not_sent_to_be_sent(rig: Rig) -> None:
    epoch = rig.choices.change("a", Decision.GIVEN)
    event = rig.event("a", epoch)
    rig.desk.mood("meta").answers.append(LATER)
    dispatcher = rig.dispatcher(fresh(rig))
    item = Item(Entry(event, 0), rig.message, event.occurred_at)
    assert not await dispatcher.deliver([item], lambda: len(rig.desk.calls) > 0)
    assert rig.states() == {(State.RELEASED, ""): 1}
    await rig.deliver(event, dispatcher=rig.dispatcher(fresh(rig)))
    assert rig.states() == {(State.DELIVERED, ""): 1}


async def _after_withdrawal(rig: Rig, dispatcher: Dispatcher) -> Mapping[Any, int]:
    """Give, send, withdraw, give again, and deliver what was collected under the first consent."""
    first = rig.choices.change("a", Decision.GIVEN)
    await rig.deliver(rig.event("a", first), dispatcher=dispatcher)
    before = dict(rig.desk.taken)
    rig.choices.change("a", Decision.WITHDRAWN)
    event = rig.event("a", first)
    await rig.deliver(event, dispatcher=dispatcher)
    rig.choices.change("a", Decision.GIVEN)
    await rig.deliver(rig.event("a", first), dispatcher=dispatcher)
    return {each: times for each, times in rig.desk.taken.items() if each not in before}


async def test_nothing_leaves_after_a_withdrawal(rig: Rig) -> None:
    assert not await _after_withdrawal(rig, rig.dispatcher())


async def test_without_the_barrier_it_would(rig: Rig) -> None:
    """The suite sees a dispatcher that trusts what it knew before."""
    rig.choices.change("stranger", Decision.GIVEN)
    real = rig.choices.barrier
    looks: list[None] = []

    def once() -> Mapping[int, int]:
        looks.append(None)
        return real() if len(looks) == 1 else {0: rig.choices.applied}

    rig.choices.barrier = once
    assert await _after_withdrawal(rig, rig.dispatcher())


async def test_without_the_epoch_it_would(rig: Rig, monkeypatch: Any) -> None:
    """The suite sees a dispatcher that asks only whether consent is given now."""
    given = rig.choices.standings.given
    monkeypatch.setattr(
        rig.choices,
        "refusals",
        lambda visitors, purpose, _: (~given(visitors, purpose)).astype(int) * 3,
    )
    assert await _after_withdrawal(rig, rig.dispatcher())


async def test_without_the_delivery_record_it_would_be_sent_twice(
    rig: Rig, monkeypatch: Any
) -> None:
    event = rig.event("a", rig.choices.change("a", Decision.GIVEN))
    monkeypatch.setattr(
        "streams.delivery.ledger_book.LedgerBook.claim",
        lambda _, entries, __: {each.event.event_id: Claim.NEW for each in entries},
    )
    await rig.deliver(event)
    await rig.deliver(event, dispatcher=rig.dispatcher())
    assert len(rig.desk.calls) == 2
