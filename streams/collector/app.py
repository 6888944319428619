"""The collector's application: one request's whole path is ``Collector._enter``."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

import structlog
from aiohttp import web

from privacy.pseudonym import Salt
from privacy.tracking import enter, key
from schemas.codec import encode
from sinks.kafka import NotStoredError
from sinks.publish import Message, Publisher
from sinks.salts import Salts, SaltsUnavailableError
from streams.collector import cors, openapi, pages
from streams.collector.body import read_events, require_contract
from streams.collector.limits import Anonymous, Buckets
from streams.collector.peers import client_address
from streams.collector.refusal import ANSWERS, Refusal, Why
from streams.metrics import (
    COLLECTOR_EVENTS,
    COLLECTOR_PENDING,
    COLLECTOR_REQUESTS,
    COLLECTOR_SECONDS,
)
from streams.settings import Settings

BODY_SECONDS = 10.0
HOUSEKEEPING_SECONDS = 60.0
MEDIA_TYPES = {"application/json", "text/plain"}  # text/plain: navigator.sendBeacon

_SITE = web.RequestKey("site", str)
_log = structlog.get_logger()


class Collector:
    """Takes events from sites and answers 202 when the broker has stored every one.

    ``clock`` returns milliseconds since 1970, ``new_id`` a UUID for an event that brings none.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        salts: Salts,
        *,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._settings = settings.collector
        self._topic = settings.topic("tracking-events")
        self._publisher = publisher
        self._salts = salts
        self._clock = clock
        self._new_id = new_id
        self._site_of = {
            _digest(key): name for name, site in settings.sites.items() for key in site.keys
        }
        self._origins = cors.Origins({name: s.origins for name, s in settings.sites.items()})
        self._by_site = Buckets(self._settings.rate, self._settings.burst)
        self._by_address = Buckets(self._settings.rate, self._settings.burst)
        self._anonymous = Anonymous()
        self._probing = asyncio.Lock()
        COLLECTOR_PENDING.set_function(lambda: publisher.pending)

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(
            middlewares=[pages.answer_in_json], client_max_size=self._settings.max_body
        )
        app.add_routes(
            [
                web.post("/v1/events", self._post),
                web.options("/v1/events", self._preflight),
                *pages.routes(openapi.document(self._settings.max_body), self._readiness),
            ]
        )
        app.on_response_prepare.append(pages.secure)
        app.cleanup_ctx.append(self._keep_house)
        return app

    async def _post(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        origin = _origin(request)
        try:
            event_ids = await self._enter(request, origin)
        except Refusal as refusal:
            outcome: str = refusal.why
            response = _refuse(refusal)
        else:
            outcome = "accepted"
            response = web.json_response(
                {"accepted": len(event_ids), "event_ids": event_ids}, status=202
            )
        response.headers["Vary"] = "Origin"
        if origin is not None and outcome != Why.FOREIGN_ORIGIN:
            response.headers.update(cors.response_headers(origin))
        COLLECTOR_REQUESTS.labels(request.get(_SITE, ""), outcome).inc()
        COLLECTOR_SECONDS.observe(time.perf_counter() - started)
        return response

    async def _enter(self, request: web.Request, origin: str | None) -> list[str]:
        """Take a request's events in; return their ids. Raise Refusal at the first rule broken."""
        address = self._address(request)
        self._require_origin(origin)
        self._require_rate(self._by_address, self._anonymous(address or request.remote), 1)
        site = request[_SITE] = self._require_site(request)
        self._require_origin(origin, site)
        _require_media_type(request)
        events = read_events(await self._read_body(request))
        self._require_rate(self._by_site, site, len(events))
        now = self._clock()
        require_contract(events, now, self._settings.max_age_hours * 3_600_000)
        salt = await self._require_salt(now)
        records = [
            enter(
                event,
                site=site,
                address=address,
                user_agent=request.headers.get("User-Agent"),
                received_at=now,
                event_id=self._new_id(),
                salt=salt,
            )
            for event in events
        ]
        await self._store([Message(key(r), encode("tracking_event", r)) for r in records])
        COLLECTOR_EVENTS.labels(site).inc(len(records))
        return [record["event_id"] for record in records]

    def _address(self, request: web.Request) -> str | None:
        return client_address(
            request.remote,
            request.headers.getall("X-Forwarded-For", ()),
            request.headers.getall("Forwarded", ()),
            self._settings.trusted_hops,
        )

    def _require_origin(self, origin: str | None, site: str | None = None) -> None:
        if not self._origins.allows(origin, site):
            raise Refusal(Why.FOREIGN_ORIGIN)

    def _require_rate(self, buckets: Buckets, name: object, tokens: int) -> None:
        if wait := buckets.take(name, tokens, time.monotonic()):
            raise Refusal(Why.TOO_MANY, retry_after=wait)

    def _require_site(self, request: web.Request) -> str:
        key = request.headers.get("X-Lethe-Key") or request.query.get("key", "")
        site = self._site_of.get(_digest(key))
        if site is None:
            raise Refusal(Why.UNKNOWN_KEY)
        return site

    async def _read_body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refusal(Why.TOO_LARGE) from None
        except TimeoutError:
            raise Refusal(Why.TOO_SLOW) from None
        except (web.RequestPayloadError, ConnectionError):
            raise Refusal(Why.MALFORMED, rule="the body broke off") from None

    async def _require_salt(self, now: int) -> Salt:
        if salt := self._salts.cached(now):
            return salt
        try:
            return await asyncio.to_thread(self._salts.current, now)
        except SaltsUnavailableError as error:
            _log.error("no_salt", exc_info=error)
            raise Refusal(Why.NO_SALT) from None

    async def _store(self, messages: list[Message]) -> None:
        try:
            await asyncio.wrap_future(self._publisher.send(self._topic, messages))
        except NotStoredError:
            raise Refusal(Why.NOT_STORED) from None

    async def _preflight(self, request: web.Request) -> web.Response:
        """Answer a browser that asks whether a page may send; see ``cors``."""
        origin = _origin(request)
        try:
            site = self._require_site(request) if "key" in request.query else None
            self._require_origin(origin, site)
        except Refusal as refusal:
            response = _refuse(refusal)
        else:
            response = web.Response(status=204, headers={"Allow": "OPTIONS, POST"})
            if origin is not None:
                response.headers.update(cors.response_headers(origin) | cors.PREFLIGHT)
        response.headers["Vary"] = "Origin"
        return response

    async def _readiness(self) -> dict[str, bool]:
        async with self._probing:  # however many ask, one thread looks
            broker = await asyncio.to_thread(self._publisher.ready, self._topic)
            try:
                salts = bool(await asyncio.to_thread(self._salts.current, self._clock()))
            except SaltsUnavailableError:
                salts = False
        return {"broker": broker, "salts": salts}

    async def _keep_house(self, _: web.Application) -> AsyncIterator[None]:
        """Destroy old salts every minute, also those in memory, while the application runs."""

        async def destroy() -> None:
            while True:
                if not await asyncio.to_thread(self._salts.destroy_old, self._clock()):
                    _log.warning("old_salts_remain")
                await asyncio.sleep(HOUSEKEEPING_SECONDS)

        task = asyncio.create_task(destroy())
        yield
        task.cancel()


def _refuse(refusal: Refusal) -> web.Response:
    response = web.json_response(refusal.as_json(), status=ANSWERS[refusal.why].status)
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def _origin(request: web.Request) -> str | None:
    """Return the Origin; two of them are one that nobody allows."""
    origins = request.headers.getall("Origin", ())
    return ", ".join(origins) if origins else None


def _require_media_type(request: web.Request) -> None:
    fits = (
        request.content_type in MEDIA_TYPES
        and (request.charset or "utf-8").lower() == "utf-8"
        and request.headers.get("Content-Encoding", "identity").lower() == "identity"
    )
    if not fits:
        raise Refusal(Why.MEDIA_TYPE)


def _digest(key: str) -> bytes:
    """Keys are looked up by their hash, so that the time taken tells nothing of a key."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
