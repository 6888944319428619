"""Where in a log a reader is, and how that outlives the process."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


class PlaceError(ValueError):
    """Raised when a saved place cannot be used."""


@dataclass(slots=True)
class Place:
    """How far a log has been read: ``offset`` bytes, uncompressed, and ``line`` lines.

    ``began`` is the time of the log's first readable request (milliseconds since 1970), which
    tells one generation of a rotated log from the next; None before one was seen, and when the
    first thousand lines held none.
    """

    offset: int = 0
    line: int = 0
    began: int | None = None


def load(file: Path) -> Place:
    """Return the place saved in ``file``, the beginning when there is none.

    Raises PlaceError when the file holds something else.
    """
    try:
        place = Place(**json.loads(file.read_text()))
    except FileNotFoundError:
        return Place()
    except (TypeError, ValueError):
        place = Place(offset=-1)
    if not all(isinstance(value, int) and value >= 0 for value in (place.offset, place.line)):
        raise PlaceError(f"{file} is damaged; remove it to read the log from its beginning")
    return place


def save(file: Path, place: Place) -> None:
    """Save a place. A crash leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(place)))
    fresh.replace(file)
