"""What follows from a provider's answer, by its own codes: settled, halved, or again later."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import structlog

from privacy.outcome import Reason, Reject
from sinks.ads.contract import Connector, Outcome, Response, Verdict
from sinks.ledger.deliveries import State
from streams import metrics
from streams.delivery.book import Result
from streams.delivery.circuit import Circuit
from streams.delivery.clocks import Clocks
from streams.delivery.http import LostError, TooLateError
from streams.delivery.parcels import Item, Parcel, halves
from streams.lanes.source import Source

_SETTLED = {
    Verdict.DELIVERED: State.DELIVERED,
    Verdict.ACCEPTED: State.ACCEPTED,
    Verdict.UNCERTAIN: State.UNCERTAIN,
}

_log = structlog.get_logger()


class Judge:
    """Judges one provider's answers; ``letter`` is told what was refused, by its message."""

    def __init__(
        self, connector: Connector, clocks: Clocks, letter: Callable[[Source, Reject], None]
    ) -> None:
        self._connector = connector
        self._clocks = clocks
        self._letter = letter

    def settle(
        self, parcel: Parcel, answer: object, circuit: Circuit, results: list[Result]
    ) -> list[Parcel]:
        """Add what became of a parcel to ``results``; return what of it is to be tried again."""
        match answer:
            case TooLateError():
                return [self.later(parcel, 0.0, tries=0)]
            case LostError(begun=False):
                circuit.note(Verdict.RETRY)
                return [self.later(parcel, circuit.backoff(0), tries=0)]
            case LostError():
                outcome = Outcome(Verdict.UNCERTAIN, str(answer))
            case Response():
                outcome = self._connector.read_response(answer, len(parcel.items))
            case BaseException():
                raise answer
            case _:
                raise TypeError(type(answer))
        again: list[Parcel] = []
        for part, said in _apart(parcel, outcome):
            uncertain = said.verdict == Verdict.UNCERTAIN and self.repeatable(part.items[0])
            known = replace(said, verdict=Verdict.RETRY) if uncertain else said
            circuit.note(known.verdict)
            metrics.ADS_REQUESTS.labels(self._connector.name, known.verdict).inc()
            again += self._follow(part, known, circuit, results)
        return again

    def repeatable(self, item: Item) -> bool:
        """Tell whether sent twice is as sent once: leaving twice is leaving once."""
        return self._connector.deduplicates or not item.event.member

    def refused(self, item: Item, reason: Reason, code: str) -> Result:
        """Return that an event was refused, and tell somebody, by the provider's ``code``."""
        if item.source is None:
            _log.error("ads_removal_refused", provider=self._connector.name, reason=code)
        elif reason == Reason.PROVIDER_REFUSED:
            self._letter(item.source, Reject(reason, "deliver"))
        return item.result(State.REFUSED, reason)

    def later(self, parcel: Parcel, wait: float, tries: int = 1) -> Parcel:
        """Put a parcel off of which the provider took nothing."""
        parcel.tries += tries
        parcel.not_before = self._clocks.boottime() + wait
        return parcel

    def _follow(
        self, parcel: Parcel, outcome: Outcome, circuit: Circuit, results: list[Result]
    ) -> list[Parcel]:
        if (state := _SETTLED.get(outcome.verdict)) is not None:
            reason = Reason.PROVIDER_UNCERTAIN if state == State.UNCERTAIN else None
            results += [each.result(state, reason, outcome.ticket) for each in parcel.items]
            return []
        if outcome.verdict == Verdict.REFUSED:
            return self._part(parcel, outcome, results)
        return [self._postponed(parcel, outcome, circuit)]

    def _postponed(self, parcel: Parcel, outcome: Outcome, circuit: Circuit) -> Parcel:
        now = self._clocks.boottime()
        if outcome.verdict == Verdict.THROTTLED:
            return self.later(parcel, circuit.throttle(outcome.wait, now), tries=0)
        if outcome.verdict == Verdict.UNAUTHORISED and circuit.refreshes():
            return self.later(parcel, circuit.backoff(0))
        if outcome.verdict == Verdict.RETRY:
            wait = circuit.backoff(parcel.tries) if outcome.wait is None else outcome.wait
            return self.later(parcel, wait)
        return self.later(parcel, circuit.stop(outcome.code, now))

    def _part(self, parcel: Parcel, outcome: Outcome, results: list[Result]) -> list[Parcel]:
        """Settle whom the provider blames; halve where it blames nobody. Others go again."""
        guilty = set(outcome.guilty)
        if not guilty and len(parcel.items) > 1:
            return list(halves(parcel))
        blamed = [i for at, i in enumerate(parcel.items) if at in guilty or not guilty]
        innocent = [i for at, i in enumerate(parcel.items) if guilty and at not in guilty]
        results += [self.refused(i, Reason.PROVIDER_REFUSED, outcome.code) for i in blamed]
        return [Parcel(innocent, parcel.tries)] if innocent else []


def _apart(parcel: Parcel, outcome: Outcome) -> Iterator[tuple[Parcel, Outcome]]:
    """Yield what the provider told apart, each with its own outcome."""
    if not outcome.each:
        yield parcel, outcome
        return
    for verdict in dict.fromkeys(outcome.each):
        items = [i for i, v in zip(parcel.items, outcome.each, strict=True) if v == verdict]
        named = tuple(range(len(items))) if verdict == Verdict.REFUSED else ()
        yield Parcel(items, parcel.tries), Outcome(verdict, outcome.code, named)
