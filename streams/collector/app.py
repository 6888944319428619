"""The collector's application: one request's whole path is one ``Collector._take_*``."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

import structlog
from aiohttp import web

from privacy.policy import Policy
from privacy.pseudonym import Salt
from privacy.signed import Keys
from privacy.tracking import enter, key, problems
from schemas.codec import encode
from sinks.kafka import NotStoredError
from sinks.publish import Message, Place, Publisher
from sinks.salts import Salts, SaltsUnavailableError
from streams.collector import cors, openapi, pages
from streams.collector.body import read_items, read_json, require_contract
from streams.collector.choices import Choices, require_visitor, signal_of
from streams.collector.consent_store import Consents
from streams.collector.forms import Forms, require_no_files
from streams.collector.limits import Anonymous, Buckets
from streams.collector.peers import client_address
from streams.collector.refusal import ANSWERS, Refusal, Why
from streams.collector.unsubscribe import Unsubscribing
from streams.metrics import (
    COLLECTOR_EVENTS,
    COLLECTOR_FORMS,
    COLLECTOR_PENDING,
    COLLECTOR_REQUESTS,
    COLLECTOR_SECONDS,
)
from streams.settings import Settings

BODY_SECONDS = 10.0
HOUSEKEEPING_SECONDS = 60.0
ORPHANS_SECONDS = 3_600.0  # looks at every case
MEDIA_TYPES = {"application/json", "text/plain"}  # text/plain: navigator.sendBeacon
NO_ADS = {"ad_ids": None, "consent_epoch": None}

Take = Callable[[web.Request], Awaitable[tuple[str, web.Response]]]
Handler = Callable[[web.Request], Awaitable[web.Response]]

_SITE = web.RequestKey("site", str)
_SERVICE = web.RequestKey("service", str)
_log = structlog.get_logger()


class Collector:
    """Takes events, consents and forms from sites; answers 202 when the broker has stored them.

    ``clock`` returns milliseconds since 1970, ``new_id`` a UUID for what brings none. Without a
    ``policy`` there are no purposes: ``/v1/consent`` answers 404. Without ``consents`` nobody
    knows what was chosen: it answers 503 to who asks. Without ``forms`` there are no services,
    without ``links``, the keys that sign them, or lists no links to unsubscribe.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        salts: Salts,
        *,
        clock: Callable[[], int],
        new_id: Callable[[], str],
        policy: Policy | None = None,
        consents: Consents | None = None,
        forms: Forms | None = None,
        links: Callable[[], Keys] | None = None,
    ) -> None:
        self._settings = settings.collector
        self._events = settings.topic("tracking-events")
        self._publisher = publisher
        self._salts = salts
        self._clock = clock
        self._new_id = new_id
        store = partial(self._store, settings.topic("consent-changes"))
        self._choices = None if policy is None else Choices(policy, consents, store, new_id)
        self._forms = forms
        self._submissions = settings.topic("form-submissions")
        self._links = None
        if policy is not None and policy.lists and links is not None:
            self._links = Unsubscribing(
                policy,
                links,
                admit=self._require_client_rate,
                store=partial(self._store, settings.topic("service-events")),
                clock=clock,
            )
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
                web.post("/v1/events", self._door(self._take_events)),
                web.options("/v1/events", self._preflight("POST")),
                web.get("/v1/consent", self._door(self._tell_consent)),
                web.post("/v1/consent", self._door(self._take_consent)),
                web.options("/v1/consent", self._preflight("GET, HEAD, POST")),
                web.post("/v1/forms/{service}", self._door(self._take_form)),
                web.options("/v1/forms/{service}", self._preflight("POST")),
                *(() if self._links is None else self._links.routes()),
                *pages.routes(self._document(), self._readiness),
            ]
        )
        app.on_response_prepare.append(pages.secure)
        app.cleanup_ctx.append(self._keep_house)
        return app

    def _door(self, take: Take) -> Handler:
        """Return the handler of a route: origins, refusals and metrics are the same at each."""

        async def handler(request: web.Request) -> web.Response:
            started = time.perf_counter()
            try:
                outcome, response = await take(request)
            except Refusal as refusal:
                outcome, response = refusal.why, _refuse(refusal)
            response.headers["Vary"] = "Origin"
            origin = _origin(request)
            if origin is not None and outcome != Why.FOREIGN_ORIGIN:
                response.headers.update(cors.response_headers(origin))
            COLLECTOR_REQUESTS.labels(request.get(_SITE, ""), outcome).inc()
            if (service := request.get(_SERVICE)) is not None:
                COLLECTOR_FORMS.labels(service, outcome).inc()
            COLLECTOR_SECONDS.observe(time.perf_counter() - started)
            return response

        return handler

    async def _take_events(self, request: web.Request) -> tuple[str, web.Response]:
        """Take a request's events in and answer their ids. Raise Refusal at the first rule broken.

        Under a signal against ads they keep nothing that is for ads.
        """
        site, address = self._admit(request)
        events = await self._read(request, site, "events")
        now = self._clock()
        oldest = self._settings.max_age_hours * 3_600_000
        require_contract(events, lambda event: problems(event, now, oldest))
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
        if signal := signal_of(request.headers):
            for record in records:
                record.update(NO_ADS)
            if self._choices is not None:
                visitors = {record["cookie_id"] for record in records} - {None}
                await self._choices.hear(site, visitors, signal, now)
        await self._store(
            self._events, [Message(key(r), encode("tracking_event", r)) for r in records]
        )
        COLLECTOR_EVENTS.labels(site).inc(len(records))
        event_ids = [record["event_id"] for record in records]
        body = {"accepted": len(event_ids), "event_ids": event_ids}
        return "accepted", web.json_response(body, status=202)

    async def _take_consent(self, request: web.Request) -> tuple[str, web.Response]:
        """Record a visitor's decisions and answer their epochs. Raise Refusal as above."""
        choices = self._require_choices()
        site, _ = self._admit(request)
        changes = await self._read(request, site, "changes")
        choices.require_contract(changes)
        signal = signal_of(request.headers)
        body = await choices.record(site, changes, signal, self._clock())
        return "recorded", web.json_response(body, status=202)

    async def _tell_consent(self, request: web.Request) -> tuple[str, web.Response]:
        """Answer what a visitor chose. Raise Refusal as above."""
        choices = self._require_choices()
        site, _ = self._admit(request)
        self._require_rate(self._by_site, site, 1)
        visitor = require_visitor(request.query.getall("cookie_id", []))
        body = await choices.tell(site, visitor, signal_of(request.headers), self._clock())
        return "told", web.json_response(body)

    async def _take_form(self, request: web.Request) -> tuple[str, web.Response]:
        """Take a form in and answer its case's id. Raise Refusal as above."""
        site, _ = self._admit(request)
        self._require_rate(self._by_site, site, 1)
        forms = self._forms
        name = request.match_info["service"]
        if forms is None or name not in forms.services:
            raise Refusal(Why.UNKNOWN_SERVICE)
        request[_SERVICE] = name
        require_no_files(request)
        _require_media_type(request)
        form = forms.require_contract(name, read_json(await self._read_body(request)))
        case_id, message = await forms.begin(
            form, name, site=site, received_at=self._clock(), new_key=self._new_id
        )
        await self._store(self._submissions, [message])
        return "accepted", web.json_response({"case_id": case_id}, status=202)

    def _require_choices(self) -> Choices:
        if self._choices is None:
            raise web.HTTPNotFound(reason="no privacy policy is configured, so nothing to choose")
        return self._choices

    def _admit(self, request: web.Request) -> tuple[str, str | None]:
        """Return the site and the client's address of a request that may come in."""
        origin = _origin(request)
        self._require_origin(origin)
        address = self._require_client_rate(request)
        site = request[_SITE] = self._require_site(request)
        self._require_origin(origin, site)
        return site, address

    async def _read(self, request: web.Request, site: str, name: str) -> list[Any]:
        """Return the items of a request's body, unchecked; see ``read_items``."""
        _require_media_type(request)
        items = read_items(await self._read_body(request), name)
        self._require_rate(self._by_site, site, len(items))
        return items

    def _require_client_rate(self, request: web.Request) -> str | None:
        """Return the client's address, if it does not come too often; raise Refusal."""
        address = self._address(request)
        self._require_rate(self._by_address, self._anonymous(address or request.remote), 1)
        return address

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

    async def _store(self, topic: str, messages: Sequence[Message]) -> Sequence[Place]:
        try:
            return await asyncio.wrap_future(self._publisher.send(topic, messages))
        except NotStoredError:
            raise Refusal(Why.NOT_STORED) from None

    def _preflight(self, methods: str) -> Handler:
        """Return what answers a browser that asks whether a page may send; see ``cors``."""

        async def handler(request: web.Request) -> web.Response:
            origin = _origin(request)
            try:
                site = self._require_site(request) if "key" in request.query else None
                self._require_origin(origin, site)
            except Refusal as refusal:
                response = _refuse(refusal)
            else:
                response = web.Response(status=204, headers={"Allow": f"OPTIONS, {methods}"})
                if origin is not None:
                    response.headers.update(cors.preflight_headers(origin, methods))
            response.headers["Vary"] = "Origin"
            return response

        return handler

    def _document(self) -> dict[str, Any]:
        services = {} if self._forms is None else self._forms.services
        return openapi.document(self._settings.max_body, services, links=self._links is not None)

    async def _readiness(self) -> dict[str, bool]:
        async with self._probing:  # however many ask, one thread looks
            broker = await asyncio.to_thread(self._publisher.ready, self._events)
            try:
                salts = bool(await asyncio.to_thread(self._salts.current, self._clock()))
            except SaltsUnavailableError:
                salts = False
        return {"broker": broker, "salts": salts}

    async def _keep_house(self, _: web.Application) -> AsyncIterator[None]:
        """Destroy old salts, also those in memory, and keys that no case came for."""

        async def destroy() -> None:
            while True:
                if not await asyncio.to_thread(self._salts.destroy_old, self._clock()):
                    _log.warning("old_salts_remain")
                await asyncio.sleep(HOUSEKEEPING_SECONDS)

        async def forget(forms: Forms) -> None:
            while True:
                await asyncio.to_thread(forms.forget_orphans, self._clock())
                await asyncio.sleep(ORPHANS_SECONDS)

        tasks = [asyncio.create_task(destroy())]
        if self._forms is not None:
            tasks.append(asyncio.create_task(forget(self._forms)))
        yield
        for task in tasks:
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
