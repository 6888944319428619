"""What a site may know of a visitor who agreed to a profile (S11, S12, S17).

Of somebody unknown, somebody who did not agree and somebody of whom little is known it gets the
same empty answer. Where consent or profile cannot be read, it gets none.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import web

from privacy.consent import Decision, withheld
from privacy.durations import DAY_MS
from privacy.policy import Profiles
from privacy.profile import pseudonym, regular_cities, strengths
from privacy.suggestions import suggest
from sinks.keys.keks import KeyStoreError
from sinks.ledger import consents, profiles
from sinks.ledger.ledger import UNUSABLE, Ledger
from streams.collector.choices import require_visitor
from streams.collector.door import Door
from streams.collector.refusal import Refusal, Why

PATH = "/v1/profile"
EMPTY: Mapping[str, list[Any]] = {"cities": [], "interests": [], "content": [], "contacts": []}

_log = structlog.get_logger()


class ProfileRoute:
    """The route of profiles.

    ``key`` returns what pseudonyms are made with, or raises KeyStoreError; ``clock`` returns
    milliseconds since 1970.
    """

    def __init__(
        self, rules: Profiles, ledger: Ledger, key: Callable[[], bytes], clock: Callable[[], int]
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._key = key
        self._clock = clock

    def routes(self, door: Door) -> list[web.RouteDef]:
        """Return the route, with what answers browsers that ask before."""

        async def tell(request: web.Request) -> tuple[str, web.Response]:
            site, _ = door.admit(request)
            door.require_site_rate(site)
            visitor = require_visitor(request.query.getall("cookie_id", []))
            try:
                body = await asyncio.to_thread(self.of, site, visitor)
            except UNUSABLE:
                raise Refusal(Why.NO_CONSENTS) from None
            except KeyStoreError as error:
                _log.error("no_keys", exc_info=error)
                raise Refusal(Why.NO_KEYS) from None
            return "told", web.json_response(dict(body))

        return [web.get(PATH, door.handler(tell)), web.options(PATH, door.preflight("GET, HEAD"))]

    def of(self, site: str, cookie_id: str) -> Mapping[str, list[Any]]:
        """Return what a site is told of a visitor. Raise LedgerError, KeyStoreError."""
        whose = pseudonym(self._key(), site, cookie_id)
        with self._ledger.reading() as connection:
            consent = consents.standing(connection, site, cookie_id)
            standing = consent.standings.get(self._rules.purpose)
            given = standing is not None and standing.decision == Decision.GIVEN
            if not given or withheld(consent) is not None:
                return EMPTY
            profile = profiles.of(connection, whose)
            known = profiles.affinities(connection)
        if profile is None:
            return EMPTY
        rules, today = self._rules, self._clock() // DAY_MS
        interests = strengths(profile, rules, today)
        suggested = suggest(interests, known, rules)
        contacts = (rules.contacts[name] for name in suggested.contacts)
        return {
            "cities": [each._asdict() for each in regular_cities(profile, rules, today)],
            "interests": [
                {"name": name, "title": rules.interests[name].title} for name in interests
            ],
            "content": list(suggested.content),
            "contacts": [{"title": each.title, "contact": each.contact} for each in contacts],
        }
