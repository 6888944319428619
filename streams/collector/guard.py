"""Tells a web server whether the visitor before it is to be refused (S8).

Whoever reads the alerts knows tokens, and no address. The visitor's address is here for as long as
the request; it is turned into the tokens that it has under the salts that still exist.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from operator import itemgetter

import structlog
from aiohttp import web
from confluent_kafka import KafkaException

from privacy.pseudonym import Salt, address_token
from sinks.kafka import poll
from sinks.salts import Salts, SaltsUnavailableError
from streams.collector.door import Door
from streams.metrics import GUARD_ANSWERS, GUARD_BLIND
from streams.security_alerts import all_read, open_alerts, read_alert
from streams.settings import Settings

AT_ONCE = 1_000
AGAIN_SECONDS = 5.0  # after the broker was away
LOOK_SECONDS = 5.0  # between two questions whether it is there
STOP_SECONDS = 2.0
SALTS_SECONDS = 5.0  # for which a salt may be remembered here after it was destroyed
MOST = 100_000  # tokens; of more, those are forgotten whose time is over first

_log = structlog.get_logger()


class Blocked:
    """Who is to be refused, from the alerts as they come. Safe to use from several threads."""

    def __init__(self, most: int = MOST) -> None:
        self._until: dict[str, int] = {}
        self._most = most
        self.known = False  # whether all alerts are read that there are

    def __len__(self) -> int:
        return len(self._until)

    def put(self, token: str, until: int) -> None:
        """Refuse a token until then (ms since 1970), or longer if that was said before."""
        self._until[token] = max(until, self._until.get(token, 0))
        if len(self._until) > self._most:
            last = sorted(self._until.items(), key=itemgetter(1))
            self._until = dict(last[self._most // 10 :])

    def any_of(self, tokens: list[str], now: int) -> bool:
        """Tell whether one of the tokens is to be refused; those that no longer are, forget."""
        found = False
        for each in tokens:
            until = self._until.get(each)
            if until is not None and until <= now:
                self._until.pop(each, None)
            found |= until is not None and until > now
        return found


class AlertReader:
    """Reads all alerts that are kept and goes on with those that come, in a thread of its own."""

    def __init__(self, settings: Settings, blocked: Blocked, clock: Callable[[], int]) -> None:
        self._settings = settings
        self._blocked = blocked
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._tell(known=False)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; who waits for a broker that is away is left to wait."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except KafkaException as error:
                _log.warning("alerts_unread", exc_info=error)
            finally:
                self._tell(known=False)
            self._stop.wait(AGAIN_SECONDS)

    def _read(self) -> None:
        source = open_alerts(self._settings)
        try:
            look_at = float("-inf")
            while not self._stop.is_set():
                for message in poll(source, AT_ONCE, 0.5):
                    self._take(message.value())
                # A broker that is gone is no error to who reads: there is nothing new.
                if time.monotonic() >= look_at:
                    self._tell(known=all_read(source) or self._blocked.known)
                    look_at = time.monotonic() + LOOK_SECONDS * self._blocked.known
        finally:
            source.close()

    def _tell(self, *, known: bool) -> None:
        self._blocked.known = known
        GUARD_BLIND.set(not known)

    def _take(self, value: bytes | None) -> None:
        alert = read_alert(value)
        if alert is None:
            _log.warning("alert_unreadable")
        elif alert["token"] is not None and alert["until"] > self._clock():
            self._blocked.put(alert["token"], alert["until"])


class Guard:
    """Answers 403 where the visitor is to be refused, else 204, also when nothing can be told.

    It guards availability, so that it must not end it: who cannot be judged passes. Whoever is
    known to be refused still is while the alerts cannot be read; that ends by itself.
    """

    def __init__(
        self, door: Door, blocked: Blocked, salts: Salts, clock: Callable[[], int]
    ) -> None:
        self._door = door
        self._blocked = blocked
        self._salts = salts
        self._clock = clock
        self._kept: list[Salt] = []
        self._looked_at = float("-inf")

    def routes(self) -> list[web.RouteDef]:
        """Return the one route. No key is asked for: it tells a caller about itself alone."""
        return [web.get("/v1/guard", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        address = self._door.address_of(request)
        salts = await self._salts_kept() if len(self._blocked) else []
        tokens = [] if address is None else [address_token(salt, address) for salt in salts]
        if self._blocked.any_of(tokens, self._clock()):
            GUARD_ANSWERS.labels("refused").inc()
            return web.json_response({"error": "too much came from here"}, status=403)
        judged = self._blocked.known and address is not None and (salts or not len(self._blocked))
        GUARD_ANSWERS.labels("passed" if judged else "unjudged").inc()
        return web.Response(status=204)

    async def _salts_kept(self) -> list[Salt]:
        if time.monotonic() - self._looked_at > SALTS_SECONDS:
            self._looked_at = time.monotonic()  # others go on with what was known
            try:
                kept = await asyncio.to_thread(self._salts.kept)
            except SaltsUnavailableError as error:
                _log.warning("no_salt", exc_info=error)
                kept = []
            self._kept = [salt for _, salt in kept]
        return self._kept
