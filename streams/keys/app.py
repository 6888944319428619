"""``POST /v1/keys``: who asks, may they, and the keys; nothing is kept in memory."""

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from sinks.keys.keks import KeyStoreError
from sinks.ledger.ledger import UNUSABLE
from streams.collector import pages
from streams.keys import tokens
from streams.keys.desk import Desk
from streams.listen import read_body

MOST = 1_000  # cases in one request
MOST_BODY = 131_072  # bytes
RETRY_SECONDS = 5
FORGET_SECONDS = 3_600.0

_CASE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RULE = f"the body must be an object with case_ids alone, from 1 to {MOST} of them"
_log = structlog.get_logger()


class KeyServer:
    """Answers readers that show a department's token.

    ``clock`` returns milliseconds since 1970. ``folder`` has the tokens of ``departments``.
    """

    def __init__(
        self, desk: Desk, folder: Path, departments: Iterable[str], *, clock: Callable[[], int]
    ) -> None:
        self._desk = desk
        self._folder = folder
        self._departments = tuple(departments)
        self._clock = clock

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(middlewares=[pages.answer_in_json], client_max_size=MOST_BODY)
        app.add_routes([web.post("/v1/keys", self._give), *pages.health(self._readiness)])
        app.on_response_prepare.append(pages.secure)
        app.cleanup_ctx.append(self._keep_house)
        return app

    async def _keep_house(self, _: web.Application) -> AsyncIterator[None]:
        """Forget old uses."""

        async def forget() -> None:
            while True:
                await asyncio.to_thread(self._desk.forget, self._clock())
                await asyncio.sleep(FORGET_SECONDS)

        task = asyncio.create_task(forget())
        yield
        task.cancel()

    async def _readiness(self) -> dict[str, bool]:
        return {"ledger": await asyncio.to_thread(self._desk.ready)}

    async def _give(self, request: web.Request) -> web.Response:
        """Answer ``{"keys": {case id: base64 or null}}``."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        department = await asyncio.to_thread(
            tokens.department_of,
            self._folder,
            self._departments,
            token.strip() if scheme.lower() == "bearer" else "",
        )
        if department is None:
            return web.json_response(
                {"error": "show the department's token: Authorization: Bearer"},
                status=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
        case_ids = _case_ids(await _read(request))
        if case_ids is None:
            return web.json_response({"error": _RULE}, status=422)
        try:
            found = await asyncio.to_thread(self._desk.give, department, case_ids, self._clock())
        except (*UNUSABLE, KeyStoreError) as error:
            _log.error("no_keys", exc_info=error)
            return web.json_response(
                {"error": "keys cannot be had now; ask again later"},
                status=503,
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        keys = {
            case_id: None if key is None else b64encode(key).decode()
            for case_id, key in found.items()
        }
        return web.json_response({"keys": keys})


async def _read(request: web.Request) -> bytes:
    """Return the body; empty when it does not come in time. Raise what aiohttp answers 413 for."""
    try:
        return await read_body(request)
    except (TimeoutError, web.RequestPayloadError, ConnectionError):
        return b""


def _case_ids(body: bytes) -> list[str] | None:
    """Return the ids that are asked for; None: the body is something else."""
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    asked = content.get("case_ids") if isinstance(content, dict) and len(content) == 1 else None
    if not isinstance(asked, list) or not 1 <= len(asked) <= MOST:
        return None
    fit = (isinstance(each, str) and _CASE_ID.fullmatch(each) for each in asked)
    return asked if all(fit) else None
