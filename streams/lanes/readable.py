"""What may go into the ledger of what others wrote; the rest would stop its lane for ever.

PostgreSQL takes no NUL in a text, and what is reckoned from a time at the end of the calendar is
none. No entrance lets such a message in; whoever may write to a topic can send it all the same.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from privacy.outcome import Reason, Reject
from schemas.codec import WireError, decode

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def read(record: str, value: bytes | None, step: str) -> Mapping[str, Any] | Reject:
    """Read a message as the newest version of ``record``; Reject when the ledger cannot hold it."""
    try:
        content = decode(record, value)
    except WireError as error:
        return Reject(Reason(error.fault), step)
    if spoiled := [name for name, each in content.items() if _holds_nul(each)]:
        return Reject(Reason.MALFORMED, step, tuple(spoiled))
    absurd = [
        name
        for name, each in content.items()
        if isinstance(each, datetime) and not EARLIEST <= each < LATEST
    ]
    return Reject(Reason.ABSURD_TIME, step, tuple(absurd)) if absurd else content


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(map(_holds_nul, (*value, *value.values())))
    return (
        isinstance(value, Iterable) and not isinstance(value, bytes) and any(map(_holds_nul, value))
    )
