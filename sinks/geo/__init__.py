"""Which city an address or a position lies in (S11), from tables built once and cached.

``Places.open(ensure(cache, databases, progress))`` is all that most callers need.
"""

from sinks.geo.errors import GeoError
from sinks.geo.places import Places
from sinks.geo.store import ensure, table_path

__all__ = ["GeoError", "Places", "ensure", "table_path"]
