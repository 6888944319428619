"""All stand-ins on one port, each below its own path, and what they took below ``/desk``."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from itertools import islice
from typing import Annotated, Any, NamedTuple

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lethe.standins import ga4, google_ads, linkedin, meta, x
from lethe.standins.desk import Answer, Call, Desk
from privacy.ads import ProviderName

PROVIDERS: Mapping[ProviderName, Callable[[Desk], Iterable[web.AbstractRouteDef]]] = {
    "ga4": ga4.routes,
    "google-ads": google_ads.routes,
    "linkedin": linkedin.routes,
    "meta": meta.routes,
    "x": x.routes,
}
LARGEST = 16 * 1024 * 1024  # bytes of a body; the providers' own limits are lower


class Tally(NamedTuple):
    """What one provider met: calls, events it took, calls it refused (status from 400)."""

    calls: int = 0
    events: int = 0
    refused: int = 0


def tally(desk: Desk) -> dict[str, Tally]:
    """Return the tally of each provider, over the calls that the desk keeps."""
    found = dict.fromkeys(map(str, PROVIDERS), Tally())
    for call, answer in desk.calls.copy():  # another thread may be serving
        calls, events, refused = found[call.provider]
        found[call.provider] = Tally(
            calls + 1, events + len(answer.taken), refused + (answer.status >= 400)
        )
    return found


def application(desk: Desk) -> web.Application:
    """Return the server of every provider, ``/<provider>/…``, and of the desk, ``/desk/…``.

    ``GET /desk/calls``: the tallies and the last calls, newest first, without headers, query and
    body, where secrets and identifiers are; ``?provider=`` one provider's, ``?limit=`` so many.
    ``GET /desk/taken``: provider to event id to how often it was taken; members of audiences go by
    what their provider calls them. ``POST /desk/mood``: see ``Mood``.
    """
    app = web.Application(client_max_size=LARGEST)
    for name, routes in PROVIDERS.items():
        provider = web.Application()
        provider.add_routes(routes(desk))
        app.add_subapp(f"/{name}", provider)
    office = _Office(desk)
    app.add_routes(
        [
            web.get("/desk/calls", office.calls),
            web.get("/desk/taken", office.taken),
            web.post("/desk/mood", office.mood),
        ]
    )
    return app


@asynccontextmanager
async def serving(desk: Desk, host: str, port: int) -> AsyncIterator[str]:
    """Serve until the block ends; gives the base URL. Port 0 is any free one. OSError: taken."""
    async with serving_app(application(desk), host, port) as url:
        yield url


@asynccontextmanager
async def serving_app(
    app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve any stand-in, over TLS if there is a context for it; see ``serving``."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextmanager
def in_loop(server: AbstractAsyncContextManager[str]) -> Iterator[str]:
    """Serve in a thread of its own until the block ends; gives what ``server`` gives."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stand-ins", daemon=True)
    thread.start()
    try:
        url = asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
        try:
            yield url
        finally:
            asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class StandIns(NamedTuple):
    """Stand-ins that run: what they met, and their base URL."""

    desk: Desk
    url: str


@contextmanager
def in_thread() -> Iterator[StandIns]:
    """Serve in a thread of its own, on any free port of this machine, until the block ends."""
    desk = Desk()
    with in_loop(serving(desk, "127.0.0.1", 0)) as url:
        yield StandIns(desk, url)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GivenAnswer(_Part):
    """An answer to be given in place of the provider's own; ``content`` as ``desk.Answer``'s."""

    status: int = Field(ge=200, le=599)
    content: Any = None
    headers: dict[str, str] = {}


class NewMood(_Part):
    """What ``POST /desk/mood`` takes: how a provider behaves from now on; see ``desk.Mood``.

    What is left out stays as it is; ``answers`` are added to those that wait.
    """

    provider: ProviderName
    latency: Annotated[float, Field(ge=0, le=600)] | None = None
    answers: tuple[GivenAnswer, ...] = ()
    vanish: Annotated[int, Field(ge=0)] | None = None
    drip: Annotated[float, Field(ge=0, le=60)] | None = None


class _Office:
    """Answers what tests and the demo ask of the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def calls(self, request: web.Request) -> web.Response:
        provider = request.query.get("provider")
        limit = request.query.get("limit", "100")
        if provider is not None and provider not in PROVIDERS:
            return _refused("provider: must be one of " + ", ".join(PROVIDERS))
        if not (limit.isascii() and limit.isdecimal()):
            return _refused("limit: must be a number")
        recent = (
            _shown(call, answer)
            for call, answer in reversed(self._desk.calls)
            if provider in {None, call.provider}
        )
        tallies = {
            name: each._asdict()
            for name, each in tally(self._desk).items()
            if provider in {None, name}
        }
        return web.json_response({"tallies": tallies, "recent": list(islice(recent, int(limit)))})

    async def taken(self, request: web.Request) -> web.Response:
        del request
        found: dict[str, dict[str, int]] = {name: {} for name in PROVIDERS}
        for (provider, event_id), times in self._desk.taken.items():
            found[provider][event_id] = times
        return web.json_response(found)

    async def mood(self, request: web.Request) -> web.Response:
        try:
            new = NewMood.model_validate_json(await request.read())
        except ValidationError as error:
            faults = [
                ".".join(map(str, each["loc"])) + ": " + each["msg"] for each in error.errors()
            ]
            return _refused("; ".join(faults))
        mood = self._desk.mood(new.provider)
        if new.latency is not None:
            mood.latency = new.latency
        if new.vanish is not None:
            mood.vanish = new.vanish
        if new.drip is not None:
            mood.drip = new.drip
        mood.answers.extend(Answer(each.status, each.content, each.headers) for each in new.answers)
        return web.json_response(
            {
                "latency": mood.latency,
                "vanish": mood.vanish,
                "drip": mood.drip,
                "answers": len(mood.answers),
            }
        )


def _shown(call: Call, answer: Answer) -> dict[str, Any]:
    return {
        "provider": call.provider,
        "began": call.began,
        "method": call.method,
        "path": call.path,
        "size": call.size,
        "status": answer.status,
        "taken": list(answer.taken),
    }


def _refused(rule: str) -> web.Response:
    return web.json_response({"error": rule}, status=400)
