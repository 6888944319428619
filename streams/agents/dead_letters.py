"""Dead letters into the table of rejects, and an alert when a reason becomes frequent.

Redelivery changes nothing: a reject is one row by the place it lies, an alert one id by what it is
about and when.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID, uuid5

from schemas.codec import WireError, decode, encode

NAMESPACE = UUID("0d3c2d0e-58ab-4f5b-8a5f-0b8f7a1c9e42")
WINDOW_MINUTES = 10
ALERT_AT = 100  # rejects of one processor and reason in a window

Letter = Mapping[str, Any]


class Event(Protocol):
    """A message as Faust hands it over: acknowledged by hand."""

    value: bytes | None
    message: Any

    def ack(self) -> bool:
        """Let the offset be committed."""
        ...


class Rejects(Protocol):
    """Where refused messages are counted."""

    def write(self, letters: Sequence[Letter]) -> None:
        """Store each letter once by its id; return when that is durable."""
        ...

    def count(self, processor: str, reason: str, since: int, until: int) -> int:
        """Return how many were stored with times in [since, until), in milliseconds."""
        ...


def letter_of(event: Event) -> Letter:
    """Read a dead letter; one that cannot be read becomes a letter about itself."""
    try:
        letter = decode("dead_letter", event.value)
    except WireError as error:
        lies = event.message
        return {
            "id": f"{lies.topic}:{lies.partition}:{lies.offset}",
            "at": int(lies.timestamp * 1000),
            "topic": lies.topic,
            "partition": lies.partition,
            "offset": lies.offset,
            "processor": "dead-letters",
            "version": "",
            "step": "decode",
            "reason": error.fault.value,
            "fields": [],
        }
    return {**letter, "at": int(letter["at"].timestamp() * 1000)}


def alerts_for(letters: Sequence[Letter], rejects: Rejects) -> list[dict[str, Any]]:
    """Return an alert for each processor, reason and window in which too many were refused."""
    window = WINDOW_MINUTES * 60_000
    found = []
    for processor, reason, start in sorted(
        {(each["processor"], each["reason"], each["at"] // window * window) for each in letters}
    ):
        count = rejects.count(processor, reason, start, start + window)
        if count >= ALERT_AT:
            subject = f"{processor}: {reason}"
            found.append(
                {
                    "id": str(uuid5(NAMESPACE, f"rejects|{subject}|{start}")),
                    "at": start + window,
                    "kind": "rejects",
                    "subject": subject,
                    "count": count,
                    "remedy": "lethe status shows the rejects; look at who produces them",
                }
            )
    return found


def dead_letters(
    rejects: Rejects, send: Callable[[bytes, bytes], Awaitable[None]]
) -> Callable[[Any], Awaitable[None]]:
    """Return the agent. ``send`` publishes key and value to the alerts and waits for the ack."""

    async def agent(stream: Any) -> None:
        raised: dict[bytes, str] = {}  # alert last raised for each key
        batches: AsyncIterator[Sequence[Event]] = stream.noack_take(500, within=0.5)
        async for events in batches:
            letters = [letter_of(event) for event in events]
            await asyncio.to_thread(rejects.write, letters)
            for alert in await asyncio.to_thread(alerts_for, letters, rejects):
                key = f"{alert['kind']}|{alert['subject']}".encode()
                if raised.get(key) != alert["id"]:
                    await send(key, encode("pipeline_alert", alert))
                    raised[key] = alert["id"]
            for event in events:
                event.ack()

    return agent
