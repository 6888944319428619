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
    # The visitor wants it left out.
    ANALYTICS_OBJECTED = "analytics_objected"
    # The visitor's data are under a restriction (Art. 18 GDPR), or were erased (Art. 17).
    RESTRICTED = "restricted"
    ERASED = "erased"
    # It may not be used for ads, or no longer.
    CONSENT_UNKNOWN = "consent_unknown"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    CONSENT_OF_ANOTHER_TIME = "consent_of_another_time"
    # The provider would refuse it, so it is not sent.
    NO_IDENTIFIER = "no_identifier"
    NO_USER_AGENT = "no_user_agent"
    NO_TARGET = "no_target"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    TOO_LONG = "too_long"
    BAD_NAME = "bad_name"
    BAD_IDENTIFIER = "bad_identifier"
    # The provider refused it, or nobody knows.
    PROVIDER_REFUSED = "provider_refused"
    PROVIDER_UNCERTAIN = "provider_uncertain"
    PROVIDER_AWAY = "provider_away"
    # It changes no case.
    UNKNOWN_SERVICE = "unknown_service"
    UNKNOWN_CASE = "unknown_case"
    CASE_ENDED = "case_ended"
    ILLEGAL_TRANSITION = "illegal_transition"
    # It is about a request that nobody made.
    UNKNOWN_REQUEST = "unknown_request"
    # A holder says it in another's name.
    WRONG_HOLDER = "wrong_holder"
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
