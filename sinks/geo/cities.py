"""Read cities from a database's records and give each its code (S11).

Of a record only country and city survive. Postcode and region end here; so do coordinates, which
serve once more, to find the GeoNames place the city is.
"""

import re
from typing import Any, NamedTuple

import numpy as np

from sinks.geo.geonames import Geonames, Place
from sinks.geo.table import Points

# DB-IP adds the district: "Berlin (Bezirk Mitte)"; or a number: "Paris 02 Bourse", "Praha 5".
_DISTRICT = re.compile(r"\s*\(.*\)$")
_NUMBERED = re.compile(r"\s+\d.*$")
_COUNTRY = re.compile(r"[A-Z]{2}")


class Position(NamedTuple):
    """What is read of a database's record. Coordinates only tell namesakes apart: 0.1 degrees."""

    country: str
    city: str
    latitude: float
    longitude: float


NOWHERE = Position("", "", 0.0, 0.0)


def read_position(record: Any) -> Position:
    """Read a record of the flat layout (ip-location-db) or the nested one (GeoIP2, GeoLite2)."""
    country = _dig(record, "country_code") or _dig(record, "country", "iso_code")
    if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
        return NOWHERE
    city = _dig(record, "city")
    if isinstance(city, dict):
        city = _dig(city, "names", "en")
    where = _dig(record, "location") or record
    latitude, longitude = _dig(where, "latitude"), _dig(where, "longitude")
    return Position(
        country,
        _DISTRICT.sub("", city) if isinstance(city, str) else "",
        round(latitude, 1) if isinstance(latitude, float) else 0.0,
        round(longitude, 1) if isinstance(longitude, float) else 0.0,
    )


class Cities:
    """Gives each (country, city) its code, under the name GeoNames has for it."""

    def __init__(self, geonames: Geonames) -> None:
        self.names = [("", "")]
        self._geonames = geonames
        self._codes: dict[tuple[str, str], int] = {("", ""): 0}
        self._known: dict[Position, int] = {}
        self._places: dict[Place, int] = {}

    def code(self, position: Position) -> int:
        """Return the code of the city at a position."""
        code = self._known.get(position)
        if code is None:
            code = self._known[position] = self._resolve(position)
        return code

    def points(self) -> Points:
        """Return the GeoNames places that some record named as its city.

        The others stay out: most are districts, which GeoNames lists like towns (of Germany's
        listed districts this leaves out 94 %, of its towns 0.04 %), and coordinates then give no
        city that addresses could not give too.
        """
        places = self._places
        return Points(
            np.array([place.latitude for place in places], np.float64),
            np.array([place.longitude for place in places], np.float64),
            np.array([place.population for place in places], np.float64),
            np.array(list(places.values()), np.int32),
        )

    def _resolve(self, position: Position) -> int:
        country, city, latitude, longitude = position
        for name in dict.fromkeys((_NUMBERED.sub("", city), city)):
            place = self._geonames.resolve(country, name, latitude, longitude)
            if place is not None:
                self._places[place] = self._code_of(country, place.name)
                return self._places[place]
        return self._code_of(country, city)

    def _code_of(self, country: str, city: str) -> int:
        code = self._codes.setdefault((country, city), len(self.names))
        if code == len(self.names):
            self.names.append((country, city))
        return code


def _dig(record: Any, *keys: str) -> Any:
    """Return what lies under the keys, None where a layout has no such thing."""
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record
