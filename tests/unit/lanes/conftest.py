"""Shared by the lanes' tests: made-up places, sites and messages."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from privacy.pseudonym import Salt
from schemas.codec import encode
from streams.lanes.anonymise import anonymise
from streams.lanes.batch import Result
from streams.lanes.rules import Choices, Rules, SiteRules
from streams.lanes.steps import RAW, SHORTENED

NOW = 1_795_000_000_000
BASE: Mapping[str, Any] = {
    "event_id": "0b8f7a1c-58ab-4f5b-8a5f-0d3c2d0e9e42",
    "occurred_at": NOW - 1_000,
    "received_at": NOW,
    "site": "shop.example",
    "type": "page_view",
    "page": "https://shop.example/tea?utm_source=mail&session=9",
    "referrer": "https://search.example/find?q=tea",
    "ip": "192.0.2.0",
    "cookie_id": "c-1",
    "session_id": "s-1",
    "device_id": "d-1",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "visitor": 42,
}


class Map:
    """Two cities: Ghent for 192.0.2.0/24 and near 51 N 4 E, Delft for 2001:db8::/48."""

    countries = np.array(["", "BE", "NL"], dtype=object)
    cities = np.array(["", "Ghent", "Delft"], dtype=object)

    def locate(self, addresses: Sequence[str | None]) -> np.ndarray:
        codes = {"192.0.2.0": 1, "2001:db8::": 2}
        return np.array([codes.get(each or "", 0) for each in addresses], dtype=np.int32)

    def locate_v4(self, networks: np.ndarray) -> np.ndarray:
        return np.where(networks == (192 << 16 | 2), 1, 0).astype(np.int32)

    def nearest(self, latitudes: np.ndarray, longitudes: np.ndarray) -> np.ndarray:
        near = (np.abs(latitudes - 51) < 1) & (np.abs(longitudes - 4) < 1)
        return np.where(near, 1, 0).astype(np.int32)


class Message:
    """A message as Kafka's client hands it over."""

    def __init__(
        self, value: bytes | None, offset: int = 0, stored: tuple[int, int] = (0, 0)
    ) -> None:
        self._value = value
        self._offset = offset
        self._stored = stored

    def topic(self) -> str:
        return "tracking-events"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return self._stored

    def value(self) -> bytes | None:
        return self._value


Run = Callable[..., Result]


@pytest.fixture
def event() -> Callable[..., bytes]:
    """Frame a tracking event: the usual one with these fields changed."""
    return lambda **changes: encode("tracking_event", {**BASE, **changes})


@pytest.fixture
def rules() -> Rules:
    return Rules(
        {
            "shop.example": SiteRules(frozenset({"utm_source"}), search_terms=False),
            "www.example": SiteRules(frozenset({"q"}), search_terms=True),
        },
        Map(),
        lambda _: Salt(b"0" * 32),
    )


@pytest.fixture
def run(rules: Rules) -> Run:
    """Take values along the path; ``raw`` for the raw topic's, ``stored`` by the broker."""

    def go(
        *values: bytes | None,
        raw: bool = False,
        choices: Choices | None = None,
        stored: tuple[int, int] = (0, 0),
    ) -> Result:
        rules.choices = choices
        messages = [Message(value, offset, stored) for offset, value in enumerate(values)]
        return anonymise(RAW if raw else SHORTENED, rules, messages, NOW)

    return go
