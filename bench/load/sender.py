"""A site that sends batches of events to the collector: ``python -m bench.load.sender OPTIONS``.

At a rate it sends whatever becomes of the requests before, as visitors do; without one it sends
the next batch when one is answered. Prints what became of them as a line of JSON.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

ANSWER_SECONDS = 60.0
BATCH = 50  # events
# Of invented visitors' proxies: as many addresses of this machine, with so many connections each.
ADDRESSES = [f"127.0.0.{2 + each}" for each in range(12)]
CONNECTIONS = 64
VISITORS = 20_000
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def event_id(run: int, phase: int, number: int) -> str:
    """Return the id of an event, from which all of a run and a phase can be told."""
    return f"{run:08x}-{phase:04x}-4000-8000-{number:012x}"


class Site:
    """Sends the batches of one phase."""

    def __init__(
        self, sessions: Sequence[aiohttp.ClientSession], url: str, key: str, ids: Any
    ) -> None:
        """``ids``: the run, the phase, and the epoch of the consent of who agreed."""
        self._sessions = sessions
        self._url = f"{url}/v1/events"
        self._key = key
        self._run, self._phase, self._epoch = ids
        self.outcomes: Counter[str] = Counter()  # batches
        self.taken: list[int] = []  # batches that were acknowledged
        self.seconds: list[float] = []  # until they were

    async def send(self, batch: int) -> None:
        """Send a batch and note what became of it."""
        began = time.perf_counter()
        try:
            async with self._sessions[batch % len(self._sessions)].post(
                self._url,
                data=self._body(batch),
                headers={"X-Lethe-Key": self._key, "Content-Type": "application/json"},
            ) as answer:
                await answer.read()
                outcome = str(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome = type(error).__name__
        self.outcomes[outcome] += 1
        if outcome == "202":
            self.taken.append(batch)
            self.seconds.append(time.perf_counter() - began)

    def _body(self, batch: int) -> bytes:
        events = (self._event(batch * BATCH + each) for each in range(BATCH))
        return f'{{"events":[{",".join(events)}]}}'.encode()

    def _event(self, number: int) -> str:
        visitor = number % VISITORS
        # One in so many is of somebody who agreed that providers are told.
        more = (
            f',"consent_epoch":{self._epoch},"ad_ids":{{"fbp":"fb.1.1795424000000.100000000"}}'
            if not number % BATCH and self._epoch
            else ""
        )
        who = "agreed" if more else f"c-{visitor}"
        return (
            f'{{"event_id":"{event_id(self._run, self._phase, number)}","type":"page_view",'
            f'"page":"https://shop.example/p/{number % 5000}?utm_source=mail",'
            f'"referrer":"https://host{number % 700}.example/a","ip":"198.51.{visitor % 256}.7",'
            f'"cookie_id":"{who}","user_agent":"{AGENT}"{more}}}'
        )


async def at_rate(site: Site, rate: float, seconds: float) -> None:
    """Send ``rate`` events a second; batches that no connection is free for are not begun."""
    start = time.perf_counter()
    flying: set[asyncio.Task[None]] = set()
    for batch in range(max(int(rate * seconds / BATCH), 1)):
        if (wait := start + batch * BATCH / rate - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        elif not batch % 8:
            await asyncio.sleep(0)  # others have their turn
        if len(flying) >= CONNECTIONS * len(ADDRESSES):
            site.outcomes["not begun"] += 1
            await asyncio.sleep(0)
            continue
        task = asyncio.create_task(site.send(batch))
        flying.add(task)
        task.add_done_callback(flying.discard)
    await asyncio.gather(*flying)


async def as_answered(site: Site, senders: int, seconds: float) -> None:
    """Have ``senders`` send one batch after the other."""
    until = time.perf_counter() + seconds
    numbers = iter(range(1 << 40))

    async def sender() -> None:
        while time.perf_counter() < until:
            await site.send(next(numbers))

    await asyncio.gather(*(sender() for _ in range(senders)))


async def run(given: argparse.Namespace) -> dict[str, Any]:
    """Send, and return what became of it."""
    async with AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=CONNECTIONS, local_addr=(address, 0)),
                    timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
                )
            )
            for address in ADDRESSES
        ]
        site = Site(sessions, given.url, given.key, (given.run, given.phase, given.epoch))
        began = time.perf_counter()
        if given.rate:
            await at_rate(site, given.rate, given.seconds)
        else:
            await as_answered(site, given.senders, given.seconds)
        return {
            "took": time.perf_counter() - began,
            "outcomes": site.outcomes,
            "taken": site.taken,
            "seconds": sorted(site.seconds),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--url", "--key"):
        parser.add_argument(name, required=True)
    for name in ("--run", "--phase", "--epoch"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--seconds", type=float, required=True)
    print(json.dumps(asyncio.run(run(parser.parse_args()))))
