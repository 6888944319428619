"""The desk every stand-in answers from: it keeps each call, and misbehaves on request.

A provider's file gives ``routes(desk)``: each route hands its requests to ``Desk.serve`` with a
``judge``, which sees the call and says what the provider would answer.
"""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

KEPT = 200_000  # calls


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came. ``began`` is when its first bytes were read, in milliseconds.

    ``content`` is the body as JSON, None when it is none. Header names in lower case.
    """

    provider: str
    began: int
    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: Any = field(repr=False)
    size: int


class Removal(NamedTuple):
    """That somebody was removed; both as the provider calls them."""

    target: str
    whom: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider answers, and which events of the call it took, by their ids.

    ``removed`` is who was removed from what: a member from an audience, a client from a property.
    """

    status: int
    content: Any = field(default=None, repr=False)  # JSON; a str as it is; None is an empty body
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    taken: Sequence[str] = field(default=(), repr=False)
    removed: Sequence[Removal] = field(default=(), repr=False)


Judge = Callable[[Call], Answer]


@dataclass(slots=True)
class Mood:
    """How a provider behaves. ``answers`` are given instead of its own, one a call, first first."""

    latency: float = 0.0  # seconds before it answers
    answers: deque[Answer] = field(default_factory=deque)
    vanish: int = 0  # so many calls are taken, and the connection is cut before the answer
    drip: float = 0.0  # seconds before each byte of the answer's body


class Desk:
    """Keeps calls, what was taken and who was removed, for all providers of one server."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.calls: deque[tuple[Call, Answer]] = deque(maxlen=KEPT)
        self.taken: Counter[tuple[str, str]] = Counter()  # (provider, event id): times
        self.removed: Counter[tuple[str, Removal]] = Counter()  # (provider, removal): times
        self.moods: dict[str, Mood] = {}
        self._clock = clock

    def mood(self, provider: str) -> Mood:
        """Return how ``provider`` behaves, to be changed."""
        return self.moods.setdefault(provider, Mood())

    def serve(
        self, provider: str, judge: Judge
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return a handler that keeps the call and answers as ``judge`` says."""

        async def handler(request: web.Request) -> web.StreamResponse:
            began = int(self._clock() * 1000)
            body = await request.read()
            call = Call(
                provider,
                began,
                request.method,
                request.path,
                dict(request.query),
                {name.lower(): value for name, value in request.headers.items()},
                _content(body),
                len(body),
            )
            mood = self.mood(provider)
            if mood.latency:
                await asyncio.sleep(mood.latency)
            answer = mood.answers.popleft() if mood.answers else judge(call)
            self.calls.append((call, answer))
            self.taken.update((provider, each) for each in answer.taken)
            self.removed.update((provider, each) for each in answer.removed)
            if mood.vanish:
                mood.vanish -= 1
                if request.transport is not None:
                    request.transport.abort()
            if mood.drip:
                return await _dripped(request, _response(answer), mood.drip)
            return _response(answer)

        return handler


def _content(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


async def _dripped(
    request: web.Request, answer: web.Response, seconds: float
) -> web.StreamResponse:
    """Send the head of an answer at once, and a byte of its body each so many seconds."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    slow = web.StreamResponse(status=answer.status, headers=answer.headers)
    slow.content_length = len(body)
    await slow.prepare(request)
    with suppress(ConnectionError):  # nobody waits for the rest
        for each in body:
            await asyncio.sleep(seconds)
            await slow.write(bytes([each]))
        await slow.write_eof()
    return slow


def _response(answer: Answer) -> web.Response:
    if answer.content is None:
        return web.Response(status=answer.status, headers=answer.headers)
    if isinstance(answer.content, str):
        return web.Response(status=answer.status, text=answer.content, headers=answer.headers)
    return web.json_response(answer.content, status=answer.status, headers=answer.headers)
