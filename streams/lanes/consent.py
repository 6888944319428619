"""The consent lane: changes into the ledger, what is in force onto ``consent-state`` (S14, S15)."""

import threading
from collections.abc import Collection, Sequence

import structlog
from confluent_kafka import Consumer, Message
from sqlalchemy import Connection

from privacy.consent import Consent, Decision, is_forgetting
from schemas.codec import encode
from sinks.consent_barrier import read_change
from sinks.kafka import BatchProducer
from sinks.ledger import consents, outbox
from sinks.ledger.consents import ConsentChange
from sinks.ledger.inbox import Position
from sinks.ledger.ledger import Ledger
from streams.lanes.ledgered import LedgeredLane, Outcome
from streams.lanes.profile_erasure import ProfilesByConsent

_log = structlog.get_logger()


class ConsentLane:
    """Runs until told to stop. One thread, one consumer.

    ``purposes`` are the policy's, ``ads`` those whose loss is a withdrawal.
    """

    name = "consent"

    def __init__(
        self,
        topic: str,
        target: str,
        ledger: Ledger,
        *,
        purposes: Collection[str],
        ads: Collection[str],
        profiles: ProfilesByConsent | None = None,
        consumer: Consumer,
        producer: BatchProducer,
    ) -> None:
        """Read ``topic`` and write ``target``; ``profiles`` end with the consent to them."""
        self._target = target
        self._purposes = purposes
        self._ads = ads
        self._profiles = profiles
        self._lane = LedgeredLane(
            self.name, [topic], ledger, self._take,
            consumer=consumer, producer=producer, again=_again,
        )  # fmt: skip

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; while the ledger is away, wait for it."""
        self._lane.run(stop)

    def _take(self, connection: Connection, messages: Sequence[Message]) -> list[Outcome]:
        """Apply changes in order; one that cannot be read may have been a no, to any purpose.

        When an erasure is over, proof and state go, and a tombstone says so (S20).
        """
        came: list[Outcome] = []
        run: list[tuple[bytes, Position, ConsentChange]] = []
        for message in messages:
            lies = Position(message.topic(), message.partition(), message.offset())
            visitor: bytes = message.key() or b""
            change = _read(message, lies)
            if change is not None and not is_forgetting(change.purpose, change.decision):
                run.append((visitor, lies, change))
                continue
            came += self._record(connection, run)
            run = []
            if change is None:
                came.append(self._deny(connection, message, lies, visitor))
            else:
                consents.forget(connection, change.site, change.visitor)
                self._end_profiles(connection, [visitor])
                tombstone = outbox.Message(self._target, visitor, None)
                came.append(Outcome([tombstone], erases=True))
        return came + self._record(connection, run)

    def _record(
        self, connection: Connection, run: Sequence[tuple[bytes, Position, ConsentChange]]
    ) -> list[Outcome]:
        states = consents.record(connection, [change for *_, change in run], ads=self._ads)
        if (profiles := self._profiles) is not None:
            ended = [visitor for visitor, _, change in run if profiles.ends(change)]
            self._end_profiles(connection, ended)
        return [
            self._said(visitor, lies, state)
            for (visitor, lies, _), state in zip(run, states, strict=True)
        ]

    def _deny(
        self, connection: Connection, message: Message, lies: Position, visitor: bytes
    ) -> Outcome:
        _log.error("consent_change_unreadable", **lies._asdict())
        site, bar, cookie_id = visitor.decode(errors="replace").partition("|")
        if not bar or "\0" in f"{site}{cookie_id}":  # nobody's: no entrance lets it in
            return Outcome()
        state = consents.deny(
            connection,
            site,
            cookie_id,
            partition=lies.partition,
            offset=lies.offset,
            recorded_at=message.timestamp()[1],
            purposes=self._purposes,
        )
        self._end_profiles(connection, [visitor])
        return self._said(visitor, lies, state)

    def _end_profiles(self, connection: Connection, visitors: Sequence[bytes]) -> None:
        if self._profiles is not None and visitors:
            self._profiles.erase(connection, visitors)

    def _said(self, visitor: bytes, lies: Position, state: Consent) -> Outcome:
        return Outcome([outbox.Message(self._target, visitor, _state(visitor, state, lies.offset))])


def _again(connection: Connection, late: Sequence[outbox.Message]) -> list[outbox.Message]:
    """Say what is in force of visitors of whom an older state was sent behind a newer one."""
    said = []
    for target, visitor in {(each.target, each.key): None for each in late}:
        site, _, cookie_id = visitor.decode(errors="replace").partition("|")
        state = consents.standing(connection, site, cookie_id)
        value = _state(visitor, state, state.epoch - 1) if state.epoch else None
        said.append(outbox.Message(target, visitor, value))
    return said


def _read(message: Message, lies: Position) -> ConsentChange | None:
    """Read a change; None when it counts as a no to everything."""
    change = read_change(message)
    if change is None:
        return None
    return ConsentChange(
        site=change["site"],
        visitor=change["cookie_id"],
        offset=lies.offset,
        partition=lies.partition,
        id=change["change_id"],
        purpose=change["purpose"],
        decision=Decision(change["decision"]),
        notice_id=change["notice_id"],
        notice_version=change["notice_version"],
        language=change["language"],
        how=change["how"],
        occurred_at=int(change["occurred_at"].timestamp() * 1000),
        recorded_at=message.timestamp()[1],
    )


def _state(visitor: bytes, state: Consent, offset: int) -> bytes:
    site, _, cookie_id = visitor.decode(errors="replace").partition("|")
    return encode(
        "consent_state",
        {
            "site": site,
            "cookie_id": cookie_id,
            "epoch": state.epoch,
            "offset": offset,
            "standings": {
                purpose: {
                    "decision": each.decision.value,
                    "since": each.since,
                    "change": each.change,
                }
                for purpose, each in state.standings.items()
            },
            "spent": sorted(state.spent),
        },
    )
