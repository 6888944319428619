"""Send one request, and only while it may begin.

The deadline is checked when a connection is at hand, right before the first byte is written: what
was checked too long ago is not sent (S14). Redirects are not followed: they lead elsewhere.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp

from sinks.ads.contract import Request, Response
from streams.egress import Egress, kind

MOST_BODY = 1_000_000  # bytes of an answer that are read
ANSWER_SECONDS = 3.0
CONNECT_SECONDS = 1.0  # less than a lease, so that a provider that is away does not end one


class TooLateError(RuntimeError):
    """Raised when a request could not begin in time. Nothing was sent."""


class LostError(RuntimeError):
    """Raised when there is no answer. ``begun``: the provider may have taken the request."""

    def __init__(self, reason: str, *, begun: bool) -> None:
        super().__init__(reason)
        self.begun = begun


def boottime() -> float:
    """Return seconds that go on while the machine sleeps or the process is stopped."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(slots=True)
class Attempt:
    """One try. ``settled`` is set when it has begun or never will; ``begun_at`` tells which."""

    request: Request = field(repr=False)
    deadline: float  # boottime
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    begun_at: int | None = None  # milliseconds since 1970

    @property
    def begun(self) -> bool:
        """Tell whether its first byte was written."""
        return self.begun_at is not None


class Http:
    """Connections to one provider."""

    def __init__(self, session: aiohttp.ClientSession, egress: Egress) -> None:
        self._session = session
        self._egress = egress

    async def send(self, attempt: Attempt) -> Response:
        """Return the answer. Raise TooLateError or LostError."""
        request = attempt.request
        try:
            async with self._session.request(
                request.method,
                self._egress.require(request.url),
                params=dict(request.secret_query),
                data=request.body,
                headers={"Content-Type": "application/json", **request.headers},
                allow_redirects=False,
                trace_request_ctx=attempt,
            ) as answer:
                body = await _read(answer.content)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status, headers, body)
        except TooLateError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LostError(kind(error), begun=attempt.begun) from None
        finally:
            attempt.settled.set()


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Return a body's beginning, which may come in pieces."""
    body = bytearray()
    while len(body) < MOST_BODY and (piece := await content.read(MOST_BODY - len(body))):
        body += piece
    return bytes(body)


@asynccontextmanager
async def connect(
    most: int, egress: Egress, clock: Callable[[], float] = boottime
) -> AsyncIterator[Http]:
    """Open a pool of at most ``most`` connections."""
    trace = aiohttp.TraceConfig()

    async def before(_: object, context: SimpleNamespace, __: object) -> None:
        attempt: Attempt = context.trace_request_ctx
        if clock() >= attempt.deadline:
            raise TooLateError

    async def written(_: object, context: SimpleNamespace, __: object) -> None:
        attempt: Attempt = context.trace_request_ctx
        attempt.begun_at = time.time_ns() // 1_000_000
        attempt.settled.set()

    trace.on_connection_create_end.append(before)
    trace.on_connection_reuseconn.append(before)
    trace.on_request_headers_sent.append(written)
    async with aiohttp.ClientSession(
        connector=egress.connector(limit=most, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=CONNECT_SECONDS),
        trace_configs=[trace],
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent",),
        trust_env=False,
    ) as session:
        yield Http(session, egress)
