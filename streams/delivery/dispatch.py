"""Deliver a batch of ad events to one provider: the path is ``Dispatcher.deliver``.

    refuse   what the provider would not take (``Connector.refusal``)
    pack     into requests of events that may share one, within the provider's limits
    round    with the gate closed: know every consent acknowledged by now, take a lease, drop whose
             consent does not stand, claim the rest, begin the requests; then wait for answers
    settle   by the provider's own codes: delivered, refused, halved, again later, uncertain

A request begins within the lease or not at all, and each retry goes through a round of its own.
While nothing is sent the lease is renewed with the newest consents, so that a withdrawal becomes
effective at once (``streams.delivery.settle``).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import structlog

from privacy.ads import AdEvent
from privacy.outcome import Reason, Reject
from privacy.standings import REFUSALS
from sinks.ads.contract import Connector, Outcome, Response, Verdict
from sinks.consents import ConsentUnknownError
from sinks.ledger.deliveries import State
from sinks.ledger.ledger import LedgerError
from streams import metrics
from streams.delivery.book import Book, Claim, Entry, HeldError, Result
from streams.delivery.http import Attempt, Http, LostError, TooLateError
from streams.delivery.pace import Pace
from streams.lanes.batch import Source

RENEW_SECONDS = 0.2
AT_ONCE = 128  # requests of one round
FIRST_WAIT = 0.2  # seconds before the first retry; doubled for each further one
LONGEST_WAIT = 30.0
STOPPED_WAIT = 60.0
TOKEN_TRIES = 3
FAILURES = 5  # in a row, and one request at a time tries whether the provider is back

# Nothing may be sent while it is so; it passes.
_NOT_NOW = (ConsentUnknownError, HeldError, LedgerError)
_SETTLED = {
    Verdict.DELIVERED: State.DELIVERED,
    Verdict.ACCEPTED: State.ACCEPTED,
    Verdict.UNCERTAIN: State.UNCERTAIN,
}

_log = structlog.get_logger()


class Consents(Protocol):
    """What visitors chose; see ``sinks.consents.Consents``."""

    def barrier(self) -> Mapping[int, int]: ...  # noqa: D102

    def refusals(  # noqa: D102
        self, visitors: Sequence[bytes | None], purpose: str, carried: np.ndarray
    ) -> np.ndarray: ...


@dataclass(slots=True, eq=False)
class Item:
    """An event, the message it came in, when that came, and whether it is ours.

    ``begun_at`` is when the last request with it began. Times in milliseconds since 1970.
    """

    entry: Entry
    source: Source
    came: int
    claimed: bool = False
    begun_at: int | None = None

    @property
    def event(self) -> AdEvent:
        """Return what happened."""
        return self.entry.event


@dataclass(slots=True, eq=False)
class Parcel:
    """Events of one request."""

    items: list[Item]
    tries: int = 0
    not_before: float = 0.0  # boottime


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where time and names come from: milliseconds since 1970, boottime in seconds, nonces."""

    now: Callable[[], int]
    boottime: Callable[[], float]
    nonce: Callable[[], str]


@dataclass(slots=True)
class _Health:
    failures: int = 0
    closed_until: float = 0.0
    refreshed: int = 0


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
        self._partitions = partitions
        self._letter = letter
        self._patience = patience_ms
        self._lease = lease
        self._pace = Pace(connector.limits)
        self._gate = asyncio.Lock()
        self._health = _Health()

    async def deliver(self, items: Sequence[Item], stopped: Callable[[], bool]) -> bool:
        """Settle every event; return whether that was done before ``stopped`` said so."""
        parcels = deque(self._pack(await self._sift(await self._refuse(items))))
        while parcels and not stopped():
            ready, wait = self._due(parcels)
            if not ready:
                await asyncio.sleep(min(wait, 0.1))
                continue
            for parcel in ready:
                parcels.remove(parcel)
            parcels.extend(await self._round(ready))
        # Of these the provider took nothing, or was not asked.
        left = [item.entry for parcel in parcels for item in parcel.items if item.claimed]
        if left:
            await asyncio.to_thread(self._book.release, left)
        return not parcels

    async def keep(self, stopped: Callable[[], bool]) -> None:
        """Renew the lease while nothing is sent, until ``stopped`` says so; then let go of it."""
        while not stopped():
            try:
                async with self._gate:
                    await self._renew()
            except _NOT_NOW:
                await self._leave()
            await asyncio.sleep(RENEW_SECONDS)
        async with self._gate:
            await self._leave()

    async def _leave(self) -> None:
        """Hold nothing; where the ledger is away, the lease runs out."""
        with suppress(LedgerError):
            await asyncio.to_thread(self._book.leave)

    async def _renew(self) -> float:
        """Know all consents acknowledged by now and hold a lease; return its end (boottime)."""
        passed = await asyncio.to_thread(self._consents.barrier)
        until = self._clocks.boottime() + self._lease
        ours = {each: passed[each] for each in self._partitions()}
        await asyncio.to_thread(self._book.hold, ours, until)
        return until

    async def _refuse(self, items: Sequence[Item]) -> list[Item]:
        """Settle what the provider would refuse; return the others."""
        now = self._clocks.now()
        good, results = [], []
        for item in items:
            reason = self._connector.refusal(item.event, now)
            if reason is None:
                good.append(item)
            else:
                results.append(Result(item.entry, State.REFUSED, reason))
        await self._finish(results)
        return good

    async def _sift(self, items: list[Item]) -> list[Item]:
        """Settle at once what consent does not stand for, so that no round is spent on it."""
        parcel = Parcel(items)
        with suppress(*_NOT_NOW):
            await asyncio.to_thread(self._consents.barrier)
            await self._consented([parcel])
        return parcel.items

    def _pack(self, items: Sequence[Item]) -> Iterator[Parcel]:
        groups: dict[object, list[Item]] = {}
        for item in items:
            groups.setdefault(self._connector.group(item.event), []).append(item)
        most = self._connector.limits.events
        for group in groups.values():
            for start in range(0, len(group), most):
                yield from self._light(Parcel(group[start : start + most]))

    def _light(self, parcel: Parcel) -> Iterator[Parcel]:
        """Halve a parcel until each part's body is within the limit."""
        most = self._connector.limits.body
        events = [item.event for item in parcel.items]
        if (
            most
            and len(events) > 1
            and len(self._connector.build_request(events, self._clocks.now(), "").body) > most
        ):
            for half in _halves(parcel):
                yield from self._light(half)
        else:
            yield parcel

    def _due(self, parcels: Sequence[Parcel]) -> tuple[list[Parcel], float]:
        """Return what may be sent now, and the seconds until more may."""
        now = self._clocks.boottime()
        if (closed := self._health.closed_until - now) > 0:
            return [], closed
        most = 1 if self._health.failures >= FAILURES else AT_ONCE
        ready: list[Parcel] = []
        wait = LONGEST_WAIT
        for parcel in parcels:
            if len(ready) == most:
                break
            if parcel.not_before > now:
                wait = min(wait, parcel.not_before - now)
            elif (full := self._pace.take(len(parcel.items), now)) > 0:
                return ready, full
            else:
                ready.append(parcel)
        return ready, wait

    async def _round(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Send what may be sent; return what is to be tried again."""
        async with self._gate:
            try:
                until = await self._renew()
                parcels = await self._claim(await self._consented(parcels))
            except _NOT_NOW as error:
                _log.warning("ads_held", provider=self._connector.name, reason=type(error).__name__)
                await self._leave()
                over: list[Result] = []
                later = [self._later(each, FIRST_WAIT, 0) for each in parcels]
                left = self._patient(later, over)
                await self._finish(over)
                return left
            sent = [self._attempt(parcel, until) for parcel in parcels]
            tasks = [asyncio.create_task(self._http.send(attempt)) for attempt in sent]
            await asyncio.gather(*(attempt.settled.wait() for attempt in sent))
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        again: list[Parcel] = []
        results: list[Result] = []
        try:
            for parcel, attempt, answer in zip(parcels, sent, answers, strict=True):
                for item in parcel.items:
                    item.begun_at = attempt.begun_at or item.begun_at
                again += self._settle(parcel, answer, results)
        finally:
            # All in one transaction: one a request takes longer than the answers.
            await self._finish(results)
        return again

    def _attempt(self, parcel: Parcel, until: float) -> Attempt:
        events = [item.event for item in parcel.items]
        request = self._connector.build_request(events, self._clocks.now(), self._clocks.nonce())
        return Attempt(request, until)

    async def _consented(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Drop events whose consent does not stand; whoever leaves an audience needs none."""
        items = [item for parcel in parcels for item in parcel.items if item.event.member]
        codes = self._consents.refusals(
            [f"{item.event.site}|{item.event.visitor}".encode() for item in items],
            self._purpose,
            np.array([item.event.epoch for item in items], np.int64),
        )
        refused = {id(item): REFUSALS[code] for item, code in zip(items, codes, strict=True)}
        results = []
        for parcel in parcels:
            kept = []
            for item in parcel.items:
                if reason := refused.get(id(item)):
                    results.append(
                        Result(item.entry, State.DROPPED, reason, begun_at=item.begun_at)
                    )
                else:
                    kept.append(item)
            parcel.items = kept
        await self._finish(results)
        return [parcel for parcel in parcels if parcel.items]

    async def _claim(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Leave out what was settled before, and what may have been sent and must not be twice."""
        new = [item for parcel in parcels for item in parcel.items if not item.claimed]
        claims = await asyncio.to_thread(self._book.claim, [item.entry for item in new])
        uncertain = []
        for item in new:
            claim = claims[item.event.event_id]
            item.claimed = claim == Claim.NEW or (
                claim == Claim.OPEN and self._connector.deduplicates
            )
            if claim == Claim.OPEN and not item.claimed:
                uncertain.append(Result(item.entry, State.UNCERTAIN, Reason.PROVIDER_UNCERTAIN))
        await self._finish(uncertain)
        for parcel in parcels:
            parcel.items = [item for item in parcel.items if item.claimed]
        return [parcel for parcel in parcels if parcel.items]

    def _settle(self, parcel: Parcel, answer: object, results: list[Result]) -> list[Parcel]:
        """Add what became of a parcel to ``results``; return what of it is to be tried again."""
        match answer:
            case TooLateError():
                return [self._later(parcel, 0.0)]
            case LostError():
                outcome = Outcome(
                    Verdict.UNCERTAIN
                    if answer.begun and not self._connector.deduplicates
                    else Verdict.RETRY,
                    str(answer),
                )
            case BaseException():
                raise answer
            case Response():
                outcome = self._connector.read_response(answer, len(parcel.items))
            case _:
                raise TypeError(type(answer))
        metrics.ADS_REQUESTS.labels(self._connector.name, outcome.verdict).inc()
        return self._follow(parcel, outcome, results)

    def _follow(self, parcel: Parcel, outcome: Outcome, results: list[Result]) -> list[Parcel]:
        if (state := _SETTLED.get(outcome.verdict)) is not None:
            if state != State.UNCERTAIN:
                self._health = _Health()
            reason = Reason.PROVIDER_UNCERTAIN if state == State.UNCERTAIN else None
            results += [
                Result(each.entry, state, reason, outcome.ticket, each.begun_at)
                for each in parcel.items
            ]
            return []
        if outcome.verdict == Verdict.REFUSED:
            return self._part(parcel, outcome, results)
        return self._patient([self._postponed(parcel, outcome)], results)

    def _postponed(self, parcel: Parcel, outcome: Outcome) -> Parcel:
        """Put a parcel off of which the provider took nothing."""
        health, now = self._health, self._clocks.boottime()
        if outcome.verdict == Verdict.THROTTLED:
            wait = LONGEST_WAIT if outcome.wait is None else outcome.wait
            health.closed_until = now + wait
            return self._later(parcel, wait, tries=0)
        if outcome.verdict == Verdict.UNAUTHORISED and health.refreshed < TOKEN_TRIES:
            health.refreshed += 1
            return self._later(parcel, FIRST_WAIT)
        if outcome.verdict == Verdict.RETRY:
            health.failures += 1
            wait = min(FIRST_WAIT * 2**parcel.tries, LONGEST_WAIT)
            return self._later(parcel, wait if outcome.wait is None else outcome.wait)
        # Somebody has to mend the configuration: the circuit is open until then.
        health.closed_until = now + STOPPED_WAIT
        _log.error("ads_stopped", provider=self._connector.name, reason=outcome.code)
        return self._later(parcel, STOPPED_WAIT)

    def _part(self, parcel: Parcel, outcome: Outcome, results: list[Result]) -> list[Parcel]:
        """Settle whom the provider blames; halve where it blames nobody. Others go again."""
        guilty = set(outcome.guilty)
        if not guilty and len(parcel.items) > 1:
            return list(_halves(parcel))
        blamed = [i for at, i in enumerate(parcel.items) if at in guilty or not guilty]
        innocent = [i for at, i in enumerate(parcel.items) if guilty and at not in guilty]
        for item in blamed:
            self._letter(item.source, Reject(Reason.PROVIDER_REFUSED, "deliver"))
        results += [
            Result(i.entry, State.REFUSED, Reason.PROVIDER_REFUSED, begun_at=i.begun_at)
            for i in blamed
        ]
        return [Parcel(innocent, parcel.tries)] if innocent else []

    def _patient(self, parcels: Sequence[Parcel], results: list[Result]) -> list[Parcel]:
        """Give up what has waited longer than patience allows; return the rest."""
        oldest = self._clocks.now() - self._patience
        over = [i for parcel in parcels for i in parcel.items if i.came < oldest]
        if over:
            reason = Reason.PROVIDER_AWAY
            results += [Result(i.entry, State.DROPPED, reason, begun_at=i.begun_at) for i in over]
            for parcel in parcels:
                parcel.items = [item for item in parcel.items if item.came >= oldest]
        return [parcel for parcel in parcels if parcel.items]

    def _later(self, parcel: Parcel, wait: float, tries: int = 1) -> Parcel:
        parcel.tries += tries
        parcel.not_before = self._clocks.boottime() + wait
        return parcel

    async def _finish(self, results: Sequence[Result]) -> None:
        if not results:
            return
        while True:  # what was sent must be written down, however long that takes
            try:
                await asyncio.to_thread(self._book.finish, results)
                break
            except LedgerError as error:
                _log.warning("ledger_down", provider=self._connector.name, reason=str(error))
                await asyncio.sleep(FIRST_WAIT)
        for result in results:
            metrics.ADS_SETTLED.labels(
                self._connector.name, result.state, result.reason or ""
            ).inc()


def _halves(parcel: Parcel) -> Iterator[Parcel]:
    middle = len(parcel.items) // 2
    for half in (parcel.items[:middle], parcel.items[middle:]):
        yield Parcel(half, parcel.tries)
