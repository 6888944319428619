"""Deliver a batch of ad events to one provider: the path is ``Dispatcher.deliver``.

    refuse   what the provider would not take (``Connector.refusal``)
    sift     drop whose consent does not stand, give up what has waited too long
    pack     into requests of events that may share one, within the provider's limits
    round    with the gate closed: know every consent acknowledged by now, take a lease, drop whose
             consent does not stand, claim the rest, begin the requests; then wait for answers
    settle   by the provider's own codes: delivered, refused, halved, again later, uncertain

A request begins within the lease or not at all, and each retry goes through a round of its own.
While nothing is sent the lease is renewed with the newest consents, so that a withdrawal becomes
effective at once (``streams.delivery.settle``). Removals that follow it go the same way, and need
no consent.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import numpy as np
import structlog

from privacy.outcome import Reason, Reject
from privacy.standings import REFUSALS
from sinks.ads.contract import Connector
from sinks.ledger.deliveries import State
from sinks.ledger.ledger import LedgerError
from streams import metrics
from streams.delivery.book import Book, Claim, Consents, Result
from streams.delivery.circuit import Circuit
from streams.delivery.clocks import Clocks, Stored
from streams.delivery.gate import NOT_NOW, RENEW_SECONDS, Gate
from streams.delivery.http import Attempt, Http, TooLateError
from streams.delivery.judge import Judge
from streams.delivery.pace import Pace
from streams.delivery.parcels import Item, Parcel, pack
from streams.delivery.removals import undoing
from streams.lanes.source import Source

TELL_SECONDS = 60.0  # between two words about events that still wait

_log = structlog.get_logger()

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Dispatcher:
    """Delivers one provider's events. One event loop; ``partitions`` says what it may send for."""

    def __init__(
        self,
        connector: Connector,
        purpose: str,
        consents: Consents,
        book: Book,
        http: Http,
        *,
        clocks: Clocks,
        partitions: Callable[[], Sequence[int]],
        letter: Callable[[Source, Reject], None],
        patience_ms: int,
        lease: float,
    ) -> None:
        """Give an event up after ``patience_ms``; ``letter`` is told what a provider refused.

        A look at consent is good for ``lease`` seconds.
        """
        self._connector = connector
        self._purpose = purpose
        self._consents = consents
        self._book = book
        self._http = http
        self._clocks = clocks
        self._stored = Stored(clocks)
        self._judge = Judge(connector, clocks, letter)
        self._patience = patience_ms
        self._pace = Pace(connector.limits)
        self._gate = Gate(
            connector.name,
            consents,
            book,
            boottime=clocks.boottime,
            partitions=partitions,
            seconds=lease,
        )
        self.keep = self._gate.keep
        # Removals may be other calls with other credentials: what stops them stops nothing else.
        self._circuits = {each: Circuit(connector.name) for each in (False, True)}

    async def deliver(self, items: Sequence[Item], stopped: Callable[[], bool]) -> bool:
        """Settle every event; return whether that was done before ``stopped`` said so.

        Events and removals are not mixed. One that came twice is sent once: whoever claims an event
        for both of its copies would be told twice that it is new.
        """
        items = list({item.event.event_id: item for item in reversed(items)}.values())[::-1]
        circuit = self._circuits[any(item.source is None for item in items)]
        for item in items:
            if item.source is not None:
                self._stored.saw(item.came)
        try:
            good = await self._sift(await self._refuse(items))
            parcels = deque(pack(self._connector, good, self._clocks.now()))
            told = self._clocks.boottime()
            while parcels and not stopped():
                ready, wait = self._due(parcels, circuit)
                if not ready:
                    await asyncio.sleep(min(wait, 0.1))
                for parcel in ready:
                    parcels.remove(parcel)
                parcels.extend(await self._round(ready, circuit) if ready else ())
                told = self._tell(parcels, told)
            # Of these the provider took nothing, or was not asked.
            left = [item.entry for each in parcels for item in each.items if item.claimed]
            if left:
                await self._write(self._book.release, left)
        except Exception as error:
            claimed = sum(item.claimed for item in items)
            name, reason = self._connector.name, type(error).__name__
            _log.error("ads_failed", provider=name, reason=reason, count=claimed)
            raise
        return not parcels

    async def _refuse(self, items: Sequence[Item]) -> list[Item]:
        """Settle what the provider would refuse; return the others."""
        now = self._stored.latest
        good, results = [], []
        for item in items:
            reason = self._connector.refusal(item.event, now)
            if reason is None:
                good.append(item)
            else:
                results.append(self._judge.refused(item, reason, reason))
        await self._finish(results)
        return good

    async def _sift(self, items: list[Item]) -> list[Item]:
        """Settle at once what will not be sent, so that no round is spent on it."""
        parcels = [Parcel(items)]
        with suppress(*NOT_NOW):
            await asyncio.to_thread(self._consents.barrier)
            parcels = await self._consented(parcels)
        return [item for parcel in await self._patient(parcels) for item in parcel.items]

    def _due(self, parcels: Sequence[Parcel], circuit: Circuit) -> tuple[list[Parcel], float]:
        """Return what may be sent now, and the seconds until more may."""
        now = self._clocks.boottime()
        if (closed := circuit.wait(now)) > 0:
            return [], closed
        ready: list[Parcel] = []
        wait = RENEW_SECONDS
        for parcel in parcels:
            if len(ready) == circuit.width:
                break
            if parcel.not_before > now:
                wait = min(wait, parcel.not_before - now)
            elif (full := self._pace.take(len(parcel.items), now)) > 0:
                return ready, full
            else:
                ready.append(parcel)
        return ready, wait

    async def _round(self, parcels: list[Parcel], circuit: Circuit) -> list[Parcel]:
        """Send what may be sent; return what is to be tried again."""
        async with self._gate.lock:
            try:
                parcels, until = await self._admitted(parcels)
            except NOT_NOW as error:
                await self._gate.hold_back(error)
                later = [self._judge.later(each, RENEW_SECONDS, 0) for each in parcels]
                return await self._patient(later)
            sent = [self._attempt(parcel, until) for parcel in parcels]
            tasks = [asyncio.create_task(self._http.send(attempt)) for attempt in sent]
            await asyncio.gather(*(attempt.settled.wait() for attempt in sent))
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for parcel, attempt in zip(parcels, sent, strict=True):
            for item in parcel.items:
                item.begun_at = attempt.begun_at or item.begun_at
        return await self._settle(parcels, answers, circuit)

    async def _admitted(self, parcels: list[Parcel]) -> tuple[list[Parcel], float]:
        """Return what may be sent, and until when it may begin."""
        wanted = {item.entry.partition for parcel in parcels for item in parcel.items}
        until = await self._gate.renew(wanted)
        parcels = await self._claim(await self._consented(parcels))
        if parcels and self._gate.is_old(until):
            # The ledger was slow: what was looked at is old, and would soon be too late.
            until = await self._gate.renew(wanted)
            parcels = await self._consented(parcels)
        return parcels, until

    async def _consented(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Drop events whose consent does not stand; whoever leaves an audience needs none.

        Under a restriction nobody leaves either: what is due stays due (S21).
        """
        waiting = self._restricted(parcels)
        for parcel in parcels:
            parcel.items = [item for item in parcel.items if id(item) not in waiting]
        if left := [item.entry for item in waiting.values() if item.claimed]:
            await self._write(self._book.release, left)
        items = [item for parcel in parcels for item in parcel.items if item.event.member]
        codes = self._consents.refusals(
            _visitors(items),
            self._purpose,
            np.array([item.event.epoch for item in items], np.int64),
        )
        reasons = [REFUSALS[code] for code in codes]
        refused = {
            id(item): item.result(State.DROPPED, reason)
            for item, reason in zip(items, reasons, strict=True)
            if reason is not None
        }
        for parcel in parcels:
            parcel.items = [item for item in parcel.items if id(item) not in refused]
        await self._finish(list(refused.values()))
        return [parcel for parcel in parcels if parcel.items]

    def _restricted(self, parcels: Sequence[Parcel]) -> Mapping[int, Item]:
        """Return, by identity, the removals of visitors whose data are under a restriction."""
        removals = [item for parcel in parcels for item in parcel.items if not item.event.member]
        codes = self._consents.withheld(_visitors(removals))
        return {
            id(item): item
            for item, code in zip(removals, codes, strict=True)
            if REFUSALS[code] is Reason.RESTRICTED
        }

    async def _claim(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Leave out what was settled before, and what may have been sent and must not be twice."""
        new = [item for parcel in parcels for item in parcel.items if not item.claimed]
        if new:
            entries = [item.entry for item in new]
            undo = [u for e in entries if (u := undoing(self._connector, e)) is not None]
            claims = await asyncio.to_thread(self._book.claim, entries, undo)
            uncertain = []
            for item in new:
                claim = claims[item.event.event_id]
                item.claimed = (
                    claim == Claim.NEW
                    or (claim == Claim.OPEN and self._judge.repeatable(item))
                    # A removal is due as long as the ledger says so.
                    or item.source is None
                )
                if claim == Claim.OPEN and not item.claimed:
                    uncertain.append(item.result(State.UNCERTAIN, Reason.PROVIDER_UNCERTAIN))
            await self._finish(uncertain)
        for parcel in parcels:
            parcel.items = [item for item in parcel.items if item.claimed]
        return [parcel for parcel in parcels if parcel.items]

    def _attempt(self, parcel: Parcel, until: float) -> Attempt:
        events = [item.event for item in parcel.items]
        request = self._connector.build_request(events, self._clocks.now(), self._clocks.nonce())
        return Attempt(request, until)

    async def _settle(
        self, parcels: Sequence[Parcel], answers: Sequence[object], circuit: Circuit
    ) -> list[Parcel]:
        """Write down what became of parcels; return what is to be tried again.

        A fault with one is raised when the others are written down.
        """
        again: list[Parcel] = []
        results: list[Result] = []
        faults: list[Exception] = []
        for parcel, answer in zip(parcels, answers, strict=True):
            try:
                again += self._judge.settle(parcel, answer, circuit, results)
            except Exception as fault:  # noqa: BLE001 - raised below
                faults.append(fault)
        circuit.turn(self._clocks.boottime())
        # All in one transaction: one a request takes longer than the answers.
        again = await self._patient(again, results)
        if faults:
            raise faults[0]
        if late := sum(isinstance(answer, TooLateError) for answer in answers):
            _log.warning("ads_late", provider=self._connector.name, count=late)
        return again

    async def _patient(
        self, parcels: Sequence[Parcel], results: Sequence[Result] = ()
    ) -> list[Parcel]:
        """Give up what has waited longer than patience allows; return the rest.

        Written down with ``results``. Removals wait in the ledger, for however long.
        """
        oldest = self._stored.earliest - self._patience
        over: list[Result] = []
        for parcel in parcels:
            kept = [i for i in parcel.items if i.source is None or i.came >= oldest]
            gone = set(parcel.items) - set(kept)
            over += [item.result(State.DROPPED, Reason.PROVIDER_AWAY) for item in gone]
            parcel.items = kept
        await self._finish([*results, *over])
        return [parcel for parcel in parcels if parcel.items]

    async def _finish(self, results: Sequence[Result]) -> None:
        if not results:
            return
        for result in await self._write(self._book.finish, results):
            name, state = self._connector.name, result.state
            if result.entry.event.member:
                metrics.ADS_SETTLED.labels(name, state, result.reason or "").inc()
            else:
                metrics.ADS_REMOVED.labels(name, state).inc()

    async def _write(self, write: Callable[[_In], _Out], what: _In) -> _Out:
        """Write down what happened, however long that takes."""
        while True:
            try:
                return await asyncio.to_thread(write, what)
            except LedgerError as error:
                _log.warning("ledger_down", provider=self._connector.name, reason=str(error))
                await asyncio.sleep(RENEW_SECONDS)

    def _tell(self, parcels: Sequence[Parcel], told: float) -> float:
        """Say of events that wait for long that they do; return when that was said last."""
        now = self._clocks.boottime()
        if now - told < TELL_SECONDS:
            return told
        count = sum(len(parcel.items) for parcel in parcels)
        _log.warning("ads_waiting", provider=self._connector.name, count=count)
        return now


def _visitors(items: Sequence[Item]) -> list[bytes]:
    return [f"{item.event.site}|{item.event.visitor}".encode() for item in items]
