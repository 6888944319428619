"""A stand-in for another controller, which takes portable copies (Art. 20(2) GDPR).

It enforces what ``docs/rights.md`` promises such a party: a bearer token, the digest of what was
sent, and one key for what is sent again.
"""

from base64 import b64encode
from collections import deque
from collections.abc import Iterable
from hashlib import sha256

from aiohttp import web

LARGEST = 64 * 1024 * 1024  # bytes of a copy


class Controller:
    """Takes copies at any path. ``taken`` are documents by their key, ``asked`` counts requests.

    Statuses in ``moods`` are answered first, one a request, with nothing taken.
    """

    def __init__(self, token: str, moods: Iterable[int] = ()) -> None:
        self._token = token
        self.moods = deque(moods)
        self.taken: dict[str, bytes] = {}
        self.asked = 0

    def application(self) -> web.Application:
        """Return its server."""
        app = web.Application(client_max_size=LARGEST)
        app.add_routes([web.post("/{path:.*}", self.take)])
        return app

    async def take(self, request: web.Request) -> web.Response:
        """Answer 201 for a new copy and 200 for one that is known."""
        self.asked += 1
        document = await request.read()
        if self.moods:
            status = self.moods.popleft()
            return web.Response(status=status, headers={"Location": "/elsewhere"})
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.Response(status=401)
        digest = b64encode(sha256(document).digest()).decode()
        key = request.headers.get("Idempotency-Key")
        if not key or request.headers.get("Content-Digest") != f"sha-256=:{digest}:":
            return web.Response(status=400)
        known = key in self.taken
        self.taken[key] = document
        return web.Response(status=200 if known else 201)
