"""JSON as the providers take it and answer it; an answer may be anything, and echo identifiers."""

import json
import re
from typing import Any

_CODE = re.compile(r"[A-Z0-9_]{1,100}")


def written(content: object) -> bytes:
    """Return the body of a request."""
    return json.dumps(content, separators=(",", ":")).encode()


def read(body: bytes) -> dict[str, Any]:
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
