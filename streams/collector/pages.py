"""What a server shows besides its one door: health, metrics, its document, plain failures."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from streams.metrics import REGISTRY

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = structlog.get_logger()


Readiness = Callable[[], Awaitable[Mapping[str, bool]]]


def routes(document: Mapping[str, Any], readiness: Readiness) -> list[web.RouteDef]:
    """Return the collector's routes; ``readiness`` tells which of the needed parts answer now."""

    async def openapi(_: web.Request) -> web.Response:
        return web.json_response(document)

    return [web.get("/", _index), *health(readiness), web.get("/openapi.json", openapi)]


def health(readiness: Readiness) -> list[web.RouteDef]:
    """Return the routes that every server has."""

    async def ready(_: web.Request) -> web.Response:
        parts = await readiness()
        return web.json_response(parts, status=200 if all(parts.values()) else 503)

    return [
        web.get("/healthz", _alive),
        web.get("/readyz", ready),
        web.get("/metrics", _metrics),
    ]


async def _index(_: web.Request) -> web.Response:
    return web.json_response({"service": "lethe collector", "openapi": "/openapi.json"})


async def _alive(_: web.Request) -> web.Response:
    return web.json_response({"alive": True})


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(REGISTRY), content_type="text/plain", charset="utf-8")


@web.middleware
async def answer_in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Make every failure a JSON answer that says nothing of the request or of our inside."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return web.json_response({"error": error.reason}, status=error.status, headers=allow)
    except Exception as error:  # noqa: BLE001 - the outermost frame; aiohttp would log its text
        _log.error("request_failed", exc_info=error)
        return web.json_response({"error": "internal error"}, status=500)


async def secure(_: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers to every answer; a page may have some of its own."""
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
