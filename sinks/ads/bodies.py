"""JSON as the providers take it and answer it; an answer may be anything, and echo identifiers."""

import json
import math
import re
from typing import Any

LONGEST_WAIT = 86_400.0  # seconds: the quotas that are told are of a day at most

_CODE = re.compile(r"[A-Z0-9_]{1,100}")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?s?")


def written(content: object) -> bytes:
    """Return the body of a request."""
    return json.dumps(content, separators=(",", ":")).encode()


def read(body: bytes | str) -> dict[str, Any]:
    """Return the JSON object, empty where it is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list, none where it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def code(value: object) -> str:
    """Return a code that is safe to log, empty for anything that is not shaped like one."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


def wait(told: object) -> float | None:
    """Return the seconds to wait, a day at most; None for what is no number of seconds.

    Text is read as headers and Google have it: ``7``, ``1.5s``.
    """
    if isinstance(told, str) and _SECONDS.fullmatch(told):
        told = float(told.removesuffix("s"))
    if not isinstance(told, int | float) or not 0 <= told < math.inf:
        return None
    return float(min(told, LONGEST_WAIT))
