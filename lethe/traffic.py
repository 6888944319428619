"""Made-up visitors of made-up sites, for trying out and for tests.

People come in sessions of several pages, more by day than by night, some of them several times a
day with the same cookie; few cities send most of them, and many cities a handful. Robots come
too, and junk that the collector has to refuse. Addresses are those reserved for documentation,
so nobody is met by accident. The same arguments give the same traffic.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from ipaddress import ip_network
from itertools import accumulate
from random import Random
from typing import Any
from uuid import UUID

BOTS = 0.08
JUNK = 0.02
COORDINATES = 0.05  # of people in a city whose position is known
SESSIONS_EACH = 1.6  # of one visitor, on average
PAGES_EACH = 4  # of one session, on average

HOUR_MS = 3_600_000
# How much goes on in each hour of the day (UTC), against the busiest.
RHYTHM = (
    *(0.15, 0.10, 0.08, 0.07, 0.08, 0.15, 0.30, 0.50, 0.70, 0.80, 0.85, 0.85),
    *(0.90, 0.80, 0.80, 0.80, 0.75, 0.75, 0.80, 0.95, 1.00, 0.90, 0.60, 0.30),
)

Place = tuple[str, str, str]  # network, country, city

POSITIONS: Mapping[str, tuple[float, float]] = {  # degrees north, degrees east
    "Amsterdam": (52.374, 4.890),
    "Berlin": (52.524, 13.411),
    "Brussels": (50.850, 4.349),
    "London": (51.509, -0.126),
    "Madrid": (40.417, -3.703),
    "Paris": (48.853, 2.349),
    "Rotterdam": (51.923, 4.478),
    "Vienna": (48.208, 16.372),
}

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15"
_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
AGENTS: Mapping[str, int] = {  # to how many of a hundred people use it
    f"{_WINDOWS} {_WEBKIT} Chrome/142.0.0.0 Safari/537.36": 28,
    f"{_WINDOWS} {_WEBKIT} Chrome/141.0.0.0 Safari/537.36": 7,
    f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36": 20,
    f"{_IPHONE} (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1": 18,
    f"{_MAC} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15": 7,
    f"{_WINDOWS} {_WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0": 8,
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0": 5,
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0": 2,
    f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0"
    " Mobile Safari/537.36": 4,
    f"{_WINDOWS} {_WEBKIT} Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0": 1,
}
BOT_AGENTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    f"Mozilla/5.0 {_WEBKIT}; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} HeadlessChrome/142.0.0.0 Safari/537.36",
    "python-requests/2.32.5",
    "curl/8.14.1",
)
REFERRERS = (
    "https://www.google.com/",
    "https://www.google.com/search?q=running+shoes",
    "https://duckduckgo.com/",
    "https://www.bing.com/search?q=shoes&form=QBLH",
    "https://news.example/2026/11/what-to-wear",
    "https://jan.jansen:secret@mail.example/inbox/7",
    "android-app://com.google.android.gm/",
)
CAMPAIGNS = ("", "", "", "?utm_source=newsletter&utm_medium=email", "?utm_source=ads&gclid=Cj0KCQ")
PRODUCTS = (
    *("blue-running-shoes", "rain-jacket", "wool-socks", "trail-backpack", "water-bottle"),
    *("yoga-mat", "bike-helmet", "head-torch", "tent-for-two", "sleeping-bag", "hiking-poles"),
)
PAGES = ("/", "/sale", "/contact", "/stores", "/blog/how-to-choose-shoes", "/blog/care-for-wool")
# What sites should not put into URLs, and do.
INDISCREET = (
    "/account/jan.jansen@example.org/orders",
    "/unsubscribe?email=eva.smit%40example.org&utm_source=newsletter",
    "/orders/100200300400/track",
    "/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYW4ifQ.c2lnbmF0dXJl",
    "/call/+31-20-555-0123#jan",
)
TERMS = ("running shoes", "rain jacket", "tent", "socks size 42", "gift card", "opening hours")
CLICKS = ("add-to-cart", "newsletter", "size-chart", "play-video", "store-finder")


@dataclass(frozen=True, slots=True)
class Hit:
    """An event for a site, as the collector takes it; junk is anything JSON can hold."""

    site: str
    event: Any
    junk: bool = False


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody, or a robot. ``sent`` are the fields that go with each of their events."""

    site: str
    bot: bool
    sent: Mapping[str, Any]


class Traffic:
    """``events`` hits in the order of their time, spread over ``start`` to ``end``.

    Times in milliseconds since 1970 (UTC), ``end`` excluded. ``places`` come from most to least
    visited. With ``dated=False`` the events do not tell their time, so that the collector takes
    the time at which they come. Iterating again gives the same hits; another span gives other
    event ids, so that two runs are not taken for one sent twice.
    """

    def __init__(
        self,
        seed: int,
        sites: Sequence[str],
        places: Sequence[Place],
        *,
        start: int,
        end: int,
        events: int,
        dated: bool = True,
    ) -> None:
        self.name = f"{seed}|{start}|{end}|{events}"
        self.sites = sites
        self.places = places
        self.start = start
        self.end = end
        self.events = events
        self.dated = dated
        self._popularity = list(accumulate((i + 1) ** -1.3 for i in range(len(places))))
        self._visitors = max(1, round(events / PAGES_EACH / SESSIONS_EACH))

    def __len__(self) -> int:
        return self.events

    def __iter__(self) -> Iterator[Hit]:
        random = Random(self.name)  # noqa: S311 - nothing secret
        sessions = sorted(self._sessions(random))
        waiting: list[tuple[int, int, Hit]] = []
        number = 0  # tells hits of one moment apart
        for begin, pages in sessions:
            while waiting and waiting[0][0] <= begin:
                yield heappop(waiting)[2]
            for moment, hit in self._session(random, begin, pages):
                heappush(waiting, (moment, number, hit))
                number += 1
        while waiting:
            yield heappop(waiting)[2]

    def _sessions(self, random: Random) -> Iterator[tuple[int, int]]:
        """Begin and length of sessions that make up the wanted number of events."""
        left = self.events
        while left:
            pages = min(left, 1 + int(random.expovariate(1 / (PAGES_EACH - 0.5))))
            yield self._moment(random), pages
            left -= pages

    def _moment(self, random: Random) -> int:
        while True:
            moment = random.randrange(self.start, self.end)
            if random.random() < RHYTHM[moment // HOUR_MS % 24]:
                return moment

    def _visitor(self, number: int) -> Visitor:
        random = Random(f"{self.name}|{number}")  # noqa: S311 - nothing secret
        bot = random.random() < BOTS
        network, _, city = random.choices(self.places, cum_weights=self._popularity)[0]
        addresses = ip_network(network)
        sent = {"ip": str(addresses[random.randrange(1, addresses.num_addresses)])}
        site = random.choice(self.sites)
        if bot:
            return Visitor(site, bot, sent | {"user_agent": random.choice(BOT_AGENTS)})
        (agent,) = random.choices(list(AGENTS), weights=list(AGENTS.values()))
        more: dict[str, Any] = {"user_agent": agent, "cookie_id": f"{random.getrandbits(64):016x}"}
        if city in POSITIONS and random.random() < COORDINATES:
            north, east = (degrees + random.uniform(-0.02, 0.02) for degrees in POSITIONS[city])
            more |= {"latitude": north, "longitude": east, "location_consent": True}
        return Visitor(site, bot, sent | more)

    def _session(self, random: Random, moment: int, pages: int) -> Iterator[tuple[int, Hit]]:
        visitor = self._visitor(random.randrange(self._visitors))
        sent = dict(visitor.sent)
        if not visitor.bot:
            sent["session_id"] = f"{random.getrandbits(64):016x}"
        came_from = None if visitor.bot or random.random() < 0.4 else random.choice(REFERRERS)
        for _ in range(pages):
            if random.random() < JUNK:
                yield moment, Hit(visitor.site, _junk(random, moment), junk=True)
                continue
            page = f"https://{visitor.site}{_path(random)}"
            event = {
                **_action(random, bot=visitor.bot),
                "event_id": _uuid(random),
                "occurred_at": moment if self.dated else None,
                "page": page,
                "referrer": came_from,
                **sent,
            }
            yield moment, Hit(visitor.site, event)
            came_from = None if visitor.bot else page
            moment = min(moment + 1000 + int(random.expovariate(1 / 40_000)), self.end - 1)


def _uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


def _path(random: Random) -> str:
    chance = random.random()
    if chance < 0.01:
        return random.choice(INDISCREET)
    if chance < 0.45:
        return random.choice(PAGES) + random.choice(CAMPAIGNS)
    number = min(int(random.paretovariate(1.0)), len(PRODUCTS)) - 1
    return f"/products/{number + 1}/{PRODUCTS[number]}" + random.choice(CAMPAIGNS)


def _action(random: Random, *, bot: bool) -> dict[str, Any]:
    chance = random.random()
    if chance < 0.03:
        return {"type": "error", "status": 404 if chance < 0.025 else 500}
    if bot or chance < 0.75:
        return {"type": "page_view"}
    if chance < 0.82:
        return {"type": "search", "search_terms": random.choice(TERMS)}
    if chance < 0.97:
        return {"type": "click", "name": random.choice(CLICKS)}
    return {"type": "custom", "name": "checkout:paid"}


def _junk(random: Random, moment: int) -> Any:
    good = {"type": "page_view", "event_id": _uuid(random), "occurred_at": moment, "page": "/"}
    return random.choice(
        (
            good | {"type": "pageview"},
            good | {"status": "404"},
            good | {"page": 7},
            good | {"page": "/" + "a" * 3000},
            good | {"user_id": 7},
            good | {"colour": "blue"},
            good | {"latitude": 400},
            good | {"event_id": "1"},
            good | {"name": "buy\x00"},
            good | {"occurred_at": 0},
            good | {"occurred_at": "yesterday"},
            good | {"occurred_at": "2999-12-31T23:59:59Z"},
            good | {"ad_ids": {"gclid": "Cj0KCQ"}},
            {"page": "/"},
            "%PDF-1.7",
            [[]],
            None,
        )
    )
