"""When a request must be answered: in a month, or three with a reason (Art. 12(3) GDPR; S24)."""

from calendar import monthrange
from datetime import UTC, datetime

MOST_MONTHS = 2
"""A deadline can be extended by, once, and only within the first month."""


def deadline(received_at: int, more_months: int = 0) -> int:
    """Return the end of the month after a request was received, times in milliseconds since 1970.

    The same moment of the day a month later; of a shorter month the last day (Regulation 1182/71,
    Art. 3(2)(c)). It runs from the request, also while its sender has still to be identified.
    """
    at = datetime.fromtimestamp(received_at / 1000, UTC)
    years, month = divmod(at.month - 1 + 1 + more_months, 12)
    year, month = at.year + years, month + 1
    day = min(at.day, monthrange(year, month)[1])
    return int(at.replace(year=year, month=month, day=day).timestamp() * 1000)
