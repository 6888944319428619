"""What the steps of the anonymise lane know: the sites' rules, where places lie, the day's salt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privacy.network import is_shortened, shorten
from privacy.outcome import Reason
from privacy.pseudonym import Salt
from privacy.urls import clean_name, clean_page, clean_referrer, clean_terms
from sinks.user_agents import parse
from streams.lanes.memo import Memo

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
# What ``shorten`` gives of an IPv4 address.
_V4_NETWORK = rf"\A{_OCTET}\.{_OCTET}\.{_OCTET}\.0\z"

# What the code of an address may be besides a city's.
UNKNOWN = 0
FULL = -1
UNREADABLE = -2


class Places(Protocol):
    """Where addresses and coordinates lie. Code 0: unknown."""

    countries: np.ndarray
    cities: np.ndarray

    def refreshed(self) -> "Places":
        """Return newer places if there are any, else these."""
        ...

    def locate(self, addresses: Sequence[str | None]) -> np.ndarray:
        """Return the city code of each shortened address."""
        ...

    def locate_v4(self, networks: np.ndarray) -> np.ndarray:
        """Return the city code of each IPv4 network, as the number of its first 24 bits."""
        ...

    def nearest(self, latitudes: np.ndarray, longitudes: np.ndarray) -> np.ndarray:
        """Return the city code of each pair of coordinates, in degrees."""
        ...


class Choices(Protocol):
    """What visitors chose about analytics and location. Keys as ``Batch.visitors``."""

    def withheld(self, visitors: Sequence[bytes | None]) -> Mapping[Reason, np.ndarray]:
        """Tell by reason whose events a right keeps from every use; reasons of nobody may lack."""
        ...

    def objected(self, visitors: Sequence[bytes | None]) -> np.ndarray:
        """Tell whose events are left out."""
        ...

    def may_be_located(self, visitors: Sequence[bytes | None]) -> np.ndarray:
        """Tell whose coordinates may be used."""
        ...


@dataclass(frozen=True, slots=True)
class SiteRules:
    """What may be kept of a site's events."""

    query_parameters: frozenset[str]
    search_terms: bool


class Rules:
    """Everything a step may ask, with a memory for what repeats.

    ``salt`` gives the salt of the day of a time (milliseconds since 1970), for events whose
    entrance made no visitor hash; when it raises, nothing of the batch is published. Only
    shortened addresses are ever remembered.
    """

    def __init__(
        self,
        sites: Mapping[str, SiteRules],
        places: Places,
        salt: Callable[[int], Salt],
        choices: Choices | None = None,
    ) -> None:
        """Without ``choices`` nobody is asked: an event's own flag decides of its coordinates."""
        self.sites = sites
        self.places = places
        self.salt = salt
        self.choices = choices
        self._others = Memo(self._codes, UNKNOWN)
        self.browsers = Memo(lambda texts: [parse(text) for text in texts], parse(None))
        self.referrers = _cleaner(clean_referrer)
        self.names = _cleaner(clean_name)
        self.terms = _cleaner(clean_terms)
        self.pages = {
            kept: _cleaner(partial(clean_page, parameters=kept))
            for kept in {site.query_parameters for site in sites.values()}
        }

    def renew(self, places: Places) -> None:
        """Use newer city tables from the next batch on."""
        self.places = places
        self._others.clear()

    def locate(self, addresses: pa.StringArray) -> np.ndarray:
        """Return each shortened address's city code; UNKNOWN for null, FULL, or UNREADABLE.

        Most are IPv4 networks in plain text: those are numbers in a step each, and the memory is
        for the others.
        """
        plain = pc.fill_null(pc.match_substring_regex(addresses, _V4_NETWORK), False)
        octets = pc.split_pattern(addresses.filter(plain), ".").flatten().cast(pa.uint8())
        parts = octets.to_numpy().reshape(-1, 4).astype(np.int32)
        found = self.places.locate_v4(parts[:, 0] << 16 | parts[:, 1] << 8 | parts[:, 2])
        if len(found) == len(addresses):
            return found
        rows, codes = self._others(addresses.filter(pc.invert(plain)))
        mask = plain.to_numpy(zero_copy_only=False)
        places = np.empty(len(addresses), np.int32)
        places[mask] = found
        places[~mask] = np.array(codes, np.int32)[rows]
        return places

    def _codes(self, addresses: Sequence[str]) -> list[int]:
        codes = self.places.locate(addresses).tolist()
        return [
            code if is_shortened(address) else UNREADABLE if shorten(address) is None else FULL
            for code, address in zip(codes, addresses, strict=True)
        ]


def _cleaner(clean: Callable[[str], str | None]) -> Memo[str | None]:
    return Memo(lambda texts: [clean(text) for text in texts], "")
