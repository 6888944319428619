"""Sends made-up traffic to a collector and counts what it says."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from lethe.traffic import Hit

MOST_AT_ONCE = 50  # events in a request: some 30 kB
FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 5.0  # seconds


class UnreachableError(Exception):
    """The collector gave no answer for as long as we were willing to ask."""


@dataclass(slots=True)
class Summary:
    """What became of the events so far; ``refused`` counts them by the collector's reason."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """Return the number of events that were answered."""
        return self.accepted + self.refused.total()

    @property
    def rate(self) -> float:
        """Return the answered events a second."""
        return self.sent / self.seconds if self.seconds else 0.0


async def run(
    url: str,
    hits: Iterable[Hit],
    keys: Mapping[str, str],
    *,
    rate: float,
    patience: float = 10.0,
    on_progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Post ``hits`` to the collector at ``url``, ``rate`` events a second at most.

    ``keys`` gives each site's write key. Events of a site travel together, junk alone, for the
    collector refuses a request whole. When told to wait (429, 503) or cut off, it waits and sends
    the same again. ``on_progress`` gets one and the same summary after each answer, so that who
    interrupts the run still has it. Raises UnreachableError after ``patience`` seconds of outage.
    """
    summary = Summary()
    loop = asyncio.get_running_loop()
    started = loop.time()
    at_once = max(1, min(MOST_AT_ONCE, round(rate / 10)))
    waiting: defaultdict[str, list[Any]] = defaultdict(list)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(url, timeout=timeout) as session:

        async def send(site: str, content: Any, events: int) -> None:
            refusal = await _post(session, keys[site], content, summary, patience)
            if refusal is None:
                summary.accepted += events
            else:
                summary.refused[refusal] += events
            summary.seconds = loop.time() - started
            on_progress(summary)

        for number, hit in enumerate(hits, start=1):
            if hit.junk:
                await send(hit.site, hit.event, 1)
            else:
                waiting[hit.site].append(hit.event)
                if len(waiting[hit.site]) == at_once:
                    await send(hit.site, waiting.pop(hit.site), at_once)
            early = started + number / rate - loop.time()
            if early > 0.01:  # a shorter sleep takes longer than it says
                await asyncio.sleep(early)
        for site, events in waiting.items():
            await send(site, events, len(events))
    return summary


async def _post(
    session: aiohttp.ClientSession, key: str, content: Any, summary: Summary, patience: float
) -> str | None:
    """Post until there is an answer that lasts; return why it was refused, None if it was not."""
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + patience
    backoff = FIRST_BACKOFF
    body = json.dumps(content)  # for the client's own encoder, None would be no body
    headers = {"Content-Type": "application/json", "X-Lethe-Key": key}
    while True:
        wait = backoff
        try:
            async with session.post("/v1/events", data=body, headers=headers) as response:
                if response.status not in (429, 503):
                    return None if response.ok else await _reason(response)
                wait = float(response.headers.get("Retry-After", backoff))
                if response.status == 429:  # it works, and we are too quick
                    give_up_at = clock() + wait + patience
        except (aiohttp.ClientError, TimeoutError):
            pass
        if clock() + wait > give_up_at:
            raise UnreachableError(f"no answer from the collector for {patience:g} s")
        summary.retries += 1
        backoff = min(2 * backoff, LONGEST_BACKOFF)
        await asyncio.sleep(wait)


async def _reason(response: aiohttp.ClientResponse) -> str:
    """Say the first problem the collector names, else what it says of the request."""
    try:
        answer = await response.json()
    except (aiohttp.ContentTypeError, ValueError):
        return str(response.status)
    for problem in answer.get("problems", ()):
        return f"{problem['field']} {problem['rule']}".partition(";")[0]
    return str(answer.get("error", response.status))
