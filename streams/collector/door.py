"""Who may come in, and how much: origins, keys, rates and bodies are the same at each route."""

import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from aiohttp import web

from streams.collector import cors
from streams.collector.body import read_items
from streams.collector.limits import Anonymous, Buckets
from streams.collector.peers import client_address
from streams.collector.refusal import ANSWERS, Refusal, Why
from streams.listen import read_body
from streams.metrics import COLLECTOR_FORMS, COLLECTOR_REQUESTS, COLLECTOR_SECONDS
from streams.settings import Settings

MEDIA_TYPES = {"application/json", "text/plain"}  # text/plain: navigator.sendBeacon

Take = Callable[[web.Request], Awaitable[tuple[str, web.Response]]]
"""Take a request in; return the outcome's name and what to answer, or raise Refusal."""

Handler = Callable[[web.Request], Awaitable[web.Response]]

SERVICE = web.RequestKey("service", str)
"""The service that a request is for, once it is known to be the policy's."""

SITE = web.RequestKey("site", str)
"""The site that a request is of, once its key is known."""


class Door:
    """The sites of the settings, their keys and origins, and what each may send."""

    def __init__(self, settings: Settings) -> None:
        self._hops = settings.collector.trusted_hops
        self._site_of = {
            _digest(key): name for name, site in settings.sites.items() for key in site.keys
        }
        self._origins = cors.Origins({name: s.origins for name, s in settings.sites.items()})
        self._by_site = Buckets(settings.collector.rate, settings.collector.burst)
        self._by_address = Buckets(settings.collector.rate, settings.collector.burst)
        self._anonymous = Anonymous()

    def handler(self, take: Take) -> Handler:
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
            COLLECTOR_REQUESTS.labels(request.get(SITE, ""), outcome).inc()
            if (service := request.get(SERVICE)) is not None:
                COLLECTOR_FORMS.labels(service, outcome).inc()
            COLLECTOR_SECONDS.observe(time.perf_counter() - started)
            return response

        return handler

    def preflight(self, methods: str) -> Handler:
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

    def admit(self, request: web.Request) -> tuple[str, str | None]:
        """Return the site and the client's address of a request that may come in."""
        origin = _origin(request)
        self._require_origin(origin)
        address = self.require_client_rate(request)
        site = request[SITE] = self._require_site(request)
        self._require_origin(origin, site)
        return site, address

    def require_client_rate(self, request: web.Request) -> str | None:
        """Return the client's address, if it does not come too often; raise Refusal."""
        address = self.address_of(request)
        require_rate(self._by_address, self._anonymous(address or request.remote))
        return address

    def address_of(self, request: web.Request) -> str | None:
        """Return the client's address; None: it cannot be told."""
        return client_address(
            request.remote,
            request.headers.getall("X-Forwarded-For", ()),
            request.headers.getall("Forwarded", ()),
            self._hops,
        )

    def address_of_peer(self, peer: str | None) -> str | None:
        """Return a client's address of which there is no header; None: it is a proxy's."""
        return client_address(peer, (), (), self._hops)

    def require_site_rate(self, site: str, tokens: int = 1) -> None:
        """Raise Refusal when a site sends too much."""
        require_rate(self._by_site, site, tokens)

    async def read(self, request: web.Request, site: str, name: str) -> list[Any]:
        """Return the items of a request's body, unchecked; see ``read_items``."""
        items = read_items(await self.read_body(request), name)
        self.require_site_rate(site, len(items))
        return items

    async def read_body(self, request: web.Request) -> bytes:
        """Return a body of a media type that we take; raise Refusal."""
        _require_media_type(request)
        try:
            return await read_body(request)
        except web.HTTPRequestEntityTooLarge:
            raise Refusal(Why.TOO_LARGE) from None
        except TimeoutError:
            raise Refusal(Why.TOO_SLOW) from None
        except (web.RequestPayloadError, ConnectionError):
            raise Refusal(Why.MALFORMED, rule="the body broke off") from None

    def _require_origin(self, origin: str | None, site: str | None = None) -> None:
        if not self._origins.allows(origin, site):
            raise Refusal(Why.FOREIGN_ORIGIN)

    def _require_site(self, request: web.Request) -> str:
        key = request.headers.get("X-Lethe-Key") or request.query.get("key", "")
        site = self._site_of.get(_digest(key))
        if site is None:
            raise Refusal(Why.UNKNOWN_KEY)
        return site


def require_rate(buckets: Buckets, name: object, tokens: int = 1, why: Why = Why.TOO_MANY) -> None:
    """Raise Refusal when a bucket has not so many tokens."""
    if wait := buckets.take(name, tokens, time.monotonic()):
        raise Refusal(why, retry_after=wait)


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
        and _said(request, "Content-Encoding") <= {"identity"}
        and _said(request, "Transfer-Encoding") <= {"chunked"}
    )
    if not fits:
        raise Refusal(Why.MEDIA_TYPE)


def _said(request: web.Request, name: str) -> set[str]:
    """Return what a header says, in all its lines."""
    lines = request.headers.getall(name, ())
    return {each.strip().lower() for line in lines for each in line.split(",")}


def _digest(key: str) -> bytes:
    """Keys are looked up by their hash, so that the time taken tells nothing of a key."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
