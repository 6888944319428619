"""How an event's path may end, and why.

    Keep                goes on
    Drop(reason)        ends here as it should; counted
    Reject(reason, ...) should not have come; counted, and a dead letter says where it lies
    Hold(reason)        may not be decided yet; the lane waits and someone is told
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Every reason there is. Each has one counter and one test."""

    NO_VALUE = "no_value"
    WRONG_MAGIC = "wrong_magic"
    UNKNOWN_SCHEMA = "unknown_schema"
    MALFORMED = "malformed"
    TRAILING_BYTES = "trailing_bytes"
    UNKNOWN_SITE = "unknown_site"
    NOT_UTF8 = "not_utf8"
    TOO_LONG = "too_long"
    CONTROL_CHARACTER = "control_character"
    ABSURD_TIME = "absurd_time"
    BAD_EVENT_ID = "bad_event_id"
    BAD_STATUS = "bad_status"
    FULL_ADDRESS = "full_address"
    ADS_WITHOUT_CONSENT = "ads_without_consent"
    ADDRESS_UNREADABLE = "address_unreadable"
    COORDINATES_ABSURD = "coordinates_absurd"
    COORDINATES_WITHOUT_CONSENT = "coordinates_without_consent"
    PAGE_UNREADABLE = "page_unreadable"
    REFERRER_UNREADABLE = "referrer_unreadable"


@dataclass(frozen=True, slots=True)
class Keep:
    """The event goes on."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The event ends here as the rules want it."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Reject:
    """The event should not have come. ``fields`` are names, never values."""

    reason: Reason
    step: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing may be decided yet."""

    reason: Reason


Outcome = Keep | Drop | Reject | Hold
