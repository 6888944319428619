"""The collector's application: a request comes through the door and to one ``_take_*``."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
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
from streams.accesses import Accesses
from streams.collector import openapi, pages
from streams.collector.body import read_json, require_contract
from streams.collector.choices import Choices, require_visitor, signal_of
from streams.collector.consent_store import Consents
from streams.collector.door import SERVICE, Door
from streams.collector.forms import Forms, require_no_files
from streams.collector.guard import Blocked, Guard
from streams.collector.profile import ProfileRoute
from streams.collector.refusal import Refusal, Why
from streams.collector.requests import Requests, refused
from streams.collector.telling import Telling
from streams.collector.unsubscribe import Unsubscribing
from streams.listen import NOT_HTTP
from streams.metrics import COLLECTOR_EVENTS, COLLECTOR_PENDING
from streams.settings import Settings

HOUSEKEEPING_SECONDS = 60.0
ORPHANS_SECONDS = 3_600.0  # looks at every case
NO_ADS = {"ad_ids": None, "consent_epoch": None}

_log = structlog.get_logger()


class Collector:
    """Takes events, consents and forms from sites; answers 202 when the broker has stored them.

    ``clock`` returns milliseconds since 1970, ``new_id`` a UUID for what brings none. Without a
    ``policy`` there are no purposes: ``/v1/consent`` answers 404. Without ``consents`` nobody
    knows what was chosen: it answers 503 to who asks. Without ``forms`` there are no services,
    without ``links``, the keys that sign them, or lists no links to unsubscribe, without
    ``profiles`` no ``/v1/profile``, without ``requests`` nobody's rights are exercised here. With
    ``accesses`` who looks for attacks is told of requests, and with those who are ``blocked`` there
    is ``/v1/guard``.
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
        profiles: ProfileRoute | None = None,
        requests: Requests | None = None,
        accesses: Accesses | None = None,
        blocked: Blocked | None = None,
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
        self._door = Door(settings)
        self._profiles = profiles
        self._requests = requests
        self._asked = partial(self._store, settings.topic("subject-requests"))
        self._links = None
        if policy is not None and policy.lists and links is not None:
            self._links = Unsubscribing(
                policy,
                links,
                admit=self._door.require_client_rate,
                store=partial(self._store, settings.topic("service-events")),
                clock=clock,
            )
        self._telling = self._guard = None
        if accesses is not None:
            self._telling = Telling(accesses, self._door, publisher, clock, new_id)
            if blocked is not None:
                self._guard = Guard(self._door, blocked, accesses.salts, clock)
        self._probing = asyncio.Lock()
        COLLECTOR_PENDING.set_function(lambda: publisher.pending)

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(
            middlewares=[pages.answer_in_json], client_max_size=self._settings.max_body
        )
        door = self._door
        app.add_routes(
            [
                web.post("/v1/events", door.handler(self._take_events)),
                web.options("/v1/events", door.preflight("POST")),
                web.get("/v1/consent", door.handler(self._tell_consent)),
                web.post("/v1/consent", door.handler(self._take_consent)),
                web.options("/v1/consent", door.preflight("GET, HEAD, POST")),
                web.post("/v1/forms/{service}", door.handler(self._take_form)),
                web.options("/v1/forms/{service}", door.preflight("POST")),
                *(() if self._profiles is None else self._profiles.routes(door)),
                *self._request_routes(),
                *(() if self._links is None else self._links.routes()),
                *(() if self._guard is None else self._guard.routes()),
                *pages.routes(self._document(), self._readiness),
            ]
        )
        app.on_response_prepare.append(pages.secure)
        if self._telling is not None:
            app.on_response_prepare.append(self._telling.tell)
            app[NOT_HTTP] = self._telling.tell_not_http
        app.cleanup_ctx.append(self._keep_house)
        return app

    async def _take_events(self, request: web.Request) -> tuple[str, web.Response]:
        """Take a request's events in and answer their ids. Raise Refusal at the first rule broken.

        Under a signal against ads they keep nothing that is for ads.
        """
        site, address = self._door.admit(request)
        events = await self._door.read(request, site, "events")
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
        site, _ = self._door.admit(request)
        changes = await self._door.read(request, site, "changes")
        choices.require_contract(changes)
        signal = signal_of(request.headers)
        body = await choices.record(site, changes, signal, self._clock())
        return "recorded", web.json_response(body, status=202)

    async def _tell_consent(self, request: web.Request) -> tuple[str, web.Response]:
        """Answer what a visitor chose. Raise Refusal as above."""
        choices = self._require_choices()
        site, _ = self._door.admit(request)
        self._door.require_site_rate(site)
        visitor = require_visitor(request.query.getall("cookie_id", []))
        body = await choices.tell(site, visitor, signal_of(request.headers), self._clock())
        return "told", web.json_response(body)

    async def _take_form(self, request: web.Request) -> tuple[str, web.Response]:
        """Take a form in and answer its case's id. Raise Refusal as above."""
        site, _ = self._door.admit(request)
        self._door.require_site_rate(site)
        forms = self._forms
        name = request.match_info["service"]
        if forms is None or name not in forms.services:
            raise Refusal(Why.UNKNOWN_SERVICE)
        request[SERVICE] = name
        require_no_files(request)
        form = forms.require_contract(name, read_json(await self._door.read_body(request)))
        case_id, message = await forms.begin(
            form, name, site=site, received_at=self._clock(), new_key=self._new_id
        )
        await self._store(self._submissions, [message])
        return "accepted", web.json_response({"case_id": case_id}, status=202)

    def _request_routes(self) -> list[web.RouteDef]:
        if self._requests is None:
            return refused(self._door)
        return self._requests.routes(
            self._door, self._asked, clock=self._clock, new_key=self._new_id
        )

    def _require_choices(self) -> Choices:
        if self._choices is None:
            raise web.HTTPNotFound(reason="no privacy policy is configured, so nothing to choose")
        return self._choices

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

    def _document(self) -> dict[str, Any]:
        services = {} if self._forms is None else self._forms.services
        return openapi.document(
            self._settings.max_body,
            services,
            links=self._links is not None,
            profiles=self._profiles is not None,
            guard=self._guard is not None,
            requests=None if self._requests is None else self._requests.contract,
        )

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
