"""The lane's steps one event at a time, as a careful Python programmer would write them.

The same functions of the pure core, the row codec, and a cache before each costly look-up.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from privacy.network import is_shortened
from privacy.tracking import AHEAD_MS, EARLIEST_MS, FIELDS
from privacy.urls import clean_name, clean_page, clean_referrer, clean_terms
from schemas.codec import decode, encode
from sinks.user_agents import parse
from streams.lanes.rules import Places, SiteRules

CACHE = 500_000


def row_anonymiser(
    sites: dict[str, SiteRules], places: Places, now: int
) -> Callable[[bytes], bytes | None]:
    """Return a function from a framed tracking event to a framed anonymised one."""
    page = lru_cache(CACHE)(clean_page)
    referrer = lru_cache(CACHE)(clean_referrer)
    name = lru_cache(CACHE)(clean_name)
    terms = lru_cache(CACHE)(clean_terms)
    browser = lru_cache(CACHE)(parse)
    event_id = FIELDS["event_id"].problem

    @lru_cache(CACHE)
    def place(address: str) -> int | None:
        return int(places.locate([address])[0]) if is_shortened(address) else None

    def anonymise(value: bytes) -> bytes | None:
        event = decode("tracking_event", value)
        rules = sites.get(event["site"])
        occurred_at = int(event["occurred_at"].timestamp() * 1000)
        if (
            rules is None
            or not EARLIEST_MS <= occurred_at <= now + AHEAD_MS
            or event_id(event["event_id"])
            or (event["ad_ids"] and event["consent_epoch"] is None)
        ):
            return None
        code: int | None = 0
        if event["ip"]:
            code = place(event["ip"])
        if code is None:
            return None
        if event["location_consent"] and event["latitude"] is not None:
            found = places.nearest(np.array([event["latitude"]]), np.array([event["longitude"]]))
            code = int(found[0]) or code
        agent = browser(event["user_agent"] or "")
        return encode(
            "anonymised_event",
            {
                "event_id": event["event_id"],
                "occurred_at": occurred_at,
                "site": event["site"],
                "type": event["type"],
                "name": name(event["name"] or "") or "",
                "page": page(event["page"] or "", rules.query_parameters) or "",
                "referrer": referrer(event["referrer"] or "") or "",
                "search_terms": (terms(event["search_terms"] or "") or "")
                if rules.search_terms
                else "",
                "status": event["status"] or 0,
                "country": str(places.countries[code]),
                "city": str(places.cities[code]),
                "browser": agent.family,
                "browser_version": agent.version,
                "bot": agent.bot,
                "visitor": event["visitor"],
            },
        )

    return anonymise
