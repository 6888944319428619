"""What visitors choose: recorded, told, and heard in their browsers' signals (S14, S15, S23).

Global Privacy Control (``Sec-GPC: 1``) and Do Not Track (``DNT: 1``) are a refusal of ads.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from privacy.consent import Answer, Decision, answer, epoch_of, withheld
from privacy.consent_request import FIELDS, Signal, enter, heed, problems
from privacy.contract import Problem
from privacy.policy import Covers, Policy, Purpose
from privacy.tracking import key
from schemas.codec import encode
from sinks.publish import Message, Place
from streams.collector.body import require_contract
from streams.collector.consent_store import Chosen, Consents, ConsentsUnavailableError
from streams.collector.limits import Buckets
from streams.collector.refusal import Fault, Refusal, Why

AGAIN_SECONDS = 3_600  # before a signal that goes on is recorded again for the same visitor


def signal_of(headers: Mapping[str, str]) -> Signal | None:
    """Return the signal that a request carries."""
    if headers.get("Sec-GPC") == "1":
        return "gpc"
    return "dnt" if headers.get("DNT") == "1" else None


def require_visitor(given: Sequence[str]) -> str:
    """Return the one cookie id that a query names; raise Refusal when it does not."""
    rule = FIELDS["cookie_id"].problem(given[0]) if len(given) == 1 else "must be given once"
    if rule:
        raise Refusal(Why.CONTRACT, faults=[Fault(None, Problem("cookie_id", rule))])
    return given[0]


class Choices:
    """The consents of all sites under one policy.

    Without ``consents`` nobody knows what was chosen. ``store`` publishes to ``consent-changes``
    and returns the places once the broker has all of it, or raises Refusal. ``new_id`` returns a
    UUID for a change that brings none.
    """

    def __init__(
        self,
        policy: Policy,
        consents: Consents | None,
        store: Callable[[Sequence[Message]], Awaitable[Sequence[Place]]],
        new_id: Callable[[], str],
    ) -> None:
        self._purposes = policy.purposes
        self._ads = policy.covering(Covers.ADS)
        self._consents = consents
        self._store = store
        self._new_id = new_id
        # Another collector may have recorded a later yes: so heard is not heard for ever.
        self._heard = Buckets(rate=1 / AGAIN_SECONDS, burst=1)

    def require_contract(self, changes: Sequence[Any]) -> None:
        """Raise Refusal unless every change keeps the contract and all are one visitor's."""
        require_contract(changes, lambda change: problems(change, self._purposes))
        for index, change in enumerate(changes):
            if change["cookie_id"] != changes[0]["cookie_id"]:
                rule = "must be the same in all changes of a request"
                raise Refusal(Why.CONTRACT, faults=[Fault(index, Problem("cookie_id", rule))])

    async def record(
        self, site: str, changes: Sequence[Mapping[str, Any]], signal: Signal | None, now: int
    ) -> dict[str, Any]:
        """Publish one visitor's checked changes in their order; return what to answer.

        ``now`` in milliseconds since 1970. Under a signal, a yes to ads becomes a no, and the ad
        purposes that are not named are refused too.
        """
        heeded = [heed(change, signal, self._ads) for change in changes]
        records = [
            enter(change, site=site, received_at=now, change_id=self._new_id()) for change in heeded
        ]
        visitor = changes[0]["cookie_id"]
        if signal is None:
            self._heard.forget((site, visitor))
        named = {change["purpose"] for change in changes}
        places = await self._publish(records + self._unsaid(site, [visitor], signal, now, named))
        if any(place.offset < 0 for place in places):
            raise Refusal(Why.NOT_STORED)  # it is, but an epoch nobody knows is of no use
        because = {
            change["purpose"]: signal
            for change, asked in zip(heeded, changes, strict=True)
            if change is not asked
        }
        return {
            "recorded": len(records),
            "epochs": {
                record["purpose"]: epoch_of(place.offset)
                for record, place in zip(records, places, strict=False)  # the unsaid come after
            },
            "change_ids": [record["change_id"] for record in records],
            **({"because": because} if because else {}),
        }

    async def hear(
        self, site: str, visitors: Iterable[str], signal: Signal | None, now: int
    ) -> None:
        """Record what visitors' browsers signal; nothing when that was done within the hour."""
        if records := self._unsaid(site, visitors, signal, now):
            await self._publish(records)

    async def tell(
        self, site: str, visitor: str, signal: Signal | None, now: int
    ) -> dict[str, Any]:
        """Return what a visitor chose and what may be done; raise Refusal when nobody knows.

        Under a restriction or an erasure nothing may be done, whatever was chosen (S20, S21).
        """
        await self.hear(site, [visitor], signal, now)
        if self._consents is None:
            raise Refusal(Why.NO_CONSENTS)
        try:
            chosen = await self._consents.of(site, visitor)
        except ConsentsUnavailableError:
            raise Refusal(Why.NO_CONSENTS) from None
        nothing = {"answer": Answer.NO} if withheld(chosen.consent) else {}
        return {
            "purposes": {
                name: _told(name, purpose, chosen)
                | ({"answer": Answer.NO, "because": signal} if signal and name in self._ads else {})
                | nothing
                for name, purpose in self._purposes.items()
            },
            "epoch": chosen.consent.epoch,
        }

    def _unsaid(
        self,
        site: str,
        visitors: Iterable[str],
        signal: Signal | None,
        now: int,
        named: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Return the refusals that a signal stands for, for visitors not lately heard."""
        if signal is None:
            return []
        return [
            enter(
                {
                    "cookie_id": visitor,
                    "purpose": purpose,
                    "decision": Decision.REFUSED,
                    "how": signal,
                },
                site=site,
                received_at=now,
                change_id=self._new_id(),
            )
            for visitor in visitors
            if not self._heard.take((site, visitor), 1, now / 1000)
            for purpose in self._ads
            if purpose not in named
        ]

    async def _publish(self, records: Sequence[Mapping[str, Any]]) -> Sequence[Place]:
        """Return where each record lies. Raise Refusal when they are not stored."""
        messages = [Message(key(record), encode("consent_change", record)) for record in records]
        try:
            return await self._store(messages)
        except Refusal:
            for record in records:
                self._heard.forget((record["site"], record["cookie_id"]))
            raise


def _told(name: str, purpose: Purpose, chosen: Chosen) -> dict[str, Any]:
    standing = chosen.consent.standings.get(name)
    notice = chosen.notices.get(name)
    return {
        "answer": answer(purpose.mode, standing),
        "decision": standing and standing.decision,
        "since": standing and standing.since,
        "notice_id": notice and notice.id,
        "notice_version": notice and notice.version,
    }
