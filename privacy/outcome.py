"""Why an event's path may end, or a value of it be left out.

A refused message becomes a dead letter that says where it lies, which step refused it, why, and
which fields are concerned, by name. What is kept has no outcome: it goes on.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Every reason there is. Each has one counter and one test."""

    # The message cannot be read.
    NO_VALUE = "no_value"
    WRONG_MAGIC = "wrong_magic"
    UNKNOWN_SCHEMA = "unknown_schema"
    MALFORMED = "malformed"
    TRAILING_BYTES = "trailing_bytes"
    # The event breaks the contract.
    UNKNOWN_SITE = "unknown_site"
    ABSURD_TIME = "absurd_time"
    BAD_EVENT_ID = "bad_event_id"
    BAD_STATUS = "bad_status"
    FULL_ADDRESS = "full_address"
    ADS_WITHOUT_CONSENT = "ads_without_consent"
    # A value is left out, and the event goes on.
    ADDRESS_UNREADABLE = "address_unreadable"
    COORDINATES_WITHOUT_CONSENT = "coordinates_without_consent"
    COORDINATES_UNPLACED = "coordinates_unplaced"
    PAGE_UNREADABLE = "page_unreadable"
    REFERRER_UNREADABLE = "referrer_unreadable"
    TERMS_REFUSED = "terms_refused"
    NAME_REFUSED = "name_refused"


@dataclass(frozen=True, slots=True)
class Reject:
    """An event that should not have come. ``fields`` are names, never values."""

    reason: Reason
    step: str
    fields: tuple[str, ...] = ()
