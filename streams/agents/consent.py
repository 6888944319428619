"""Consent changes into the ledger, and what is in force onto ``consent-state`` (S14, S15, S23).

Redelivery changes nothing: a position, a change's proof, what is in force and the message that says
so are one transaction of the ledger, and the message is sent from there.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy import Connection

from privacy.consent import Consent, Decision
from privacy.tracking import key
from schemas.codec import WireError, decode, encode
from sinks.ledger import consents, inbox, outbox
from sinks.ledger.consents import ConsentChange
from sinks.ledger.inbox import Position
from sinks.ledger.ledger import Ledger
from streams.agents.dead_letters import Event

READER = "consent"
AT_ONCE = 500
WITHIN = 0.05  # seconds: a withdrawal does not wait for others

_log = structlog.get_logger()


def consent(
    ledger: Ledger,
    target: str,
    purposes: Collection[str],
    ads: Collection[str],
    send: Callable[[bytes, bytes], Awaitable[None]],
) -> Callable[[Any], Awaitable[None]]:
    """Return the agent.

    ``target`` is the topic of states, ``send`` publishes key and value to it and waits for the ack;
    ``purposes`` are the policy's, ``ads`` those whose loss is a withdrawal.
    """

    async def agent(stream: Any) -> None:
        batches: AsyncIterator[Sequence[Event]] = stream.noack_take(AT_ONCE, within=WITHIN)
        async for events in batches:
            await asyncio.to_thread(_take, ledger, target, purposes, ads, events)
            for (topic, partition), _ in groupby(sorted(map(_lies, events)), lambda p: p[:2]):
                await _publish(ledger, topic, partition, send)
            for event in events:
                event.ack()

    return agent


def _take(
    ledger: Ledger,
    target: str,
    purposes: Collection[str],
    ads: Collection[str],
    events: Sequence[Event],
) -> None:
    with ledger.transaction() as connection:
        for event in events:
            position = _lies(event)
            if inbox.first(connection, READER, position):
                state = _apply(connection, event, position, purposes, ads)
                if state is not None:
                    visitor = event.message.key
                    message = outbox.Message(target, visitor, _state(visitor, state, position))
                    outbox.put(connection, READER, position, [message])


def _apply(
    connection: Connection,
    event: Event,
    position: Position,
    purposes: Collection[str],
    ads: Collection[str],
) -> Consent | None:
    """Apply a change; one that cannot be read may have been a no, to any purpose."""
    visitor: bytes = event.message.key or b""
    try:
        change = decode("consent_change", event.value)
    except WireError:
        change = None
    if change is not None and key(change) == visitor:
        return consents.record(
            connection,
            ConsentChange(
                site=change["site"],
                visitor=change["cookie_id"],
                offset=position.offset,
                partition=position.partition,
                id=change["change_id"],
                purpose=change["purpose"],
                decision=Decision(change["decision"]),
                notice_id=change["notice_id"],
                notice_version=change["notice_version"],
                language=change["language"],
                how=change["how"],
                occurred_at=int(change["occurred_at"].timestamp() * 1000),
                recorded_at=int(event.message.timestamp * 1000),
            ),
            ads=ads,
        )
    _log.error(
        "consent_change_unreadable",
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
    )
    site, bar, cookie_id = visitor.decode(errors="replace").partition("|")
    if not bar:
        return None
    return consents.deny(
        connection,
        site,
        cookie_id,
        partition=position.partition,
        offset=position.offset,
        recorded_at=int(event.message.timestamp * 1000),
        purposes=purposes,
    )


async def _publish(
    ledger: Ledger, topic: str, partition: int, send: Callable[[bytes, bytes], Awaitable[None]]
) -> None:
    """Send what came of a partition, in order, also what an earlier life left."""
    while messages := await asyncio.to_thread(_pending, ledger, topic, partition):
        for each in messages:
            await send(each.message.key, each.message.value or b"")
        await asyncio.to_thread(_sent, ledger, messages)


def _pending(ledger: Ledger, topic: str, partition: int) -> list[outbox.Pending]:
    with ledger.reading() as connection:
        return outbox.pending(connection, READER, topic, partition, AT_ONCE)


def _sent(ledger: Ledger, messages: Sequence[outbox.Pending]) -> None:
    with ledger.transaction() as connection:
        outbox.sent(connection, messages)


def _state(visitor: bytes, state: Consent, position: Position) -> bytes:
    site, _, cookie_id = visitor.decode().partition("|")
    return encode(
        "consent_state",
        {
            "site": site,
            "cookie_id": cookie_id,
            "epoch": state.epoch,
            "offset": position.offset,
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


def _lies(event: Event) -> Position:
    message = event.message
    return Position(message.topic, message.partition, message.offset)
