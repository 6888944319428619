"""What an ad provider may be told of an event: the allow-lists (S13, S14).

Whatever is not named here stays behind: no address, no user id, no coordinates, no session or
device, no search terms, no referrer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ProviderName = Literal["ga4", "google-ads", "linkedin", "meta", "x"]

# Which of an event's ``ad_ids`` each provider gave out, and may have back.
IDS: Mapping[str, tuple[str, ...]] = {
    "ga4": ("ga_client_id",),
    "google-ads": ("gclid", "gbraid", "wbraid"),
    "linkedin": ("li_fat_id",),
    "meta": ("fbp", "fbc"),
    "x": ("twclid",),
}

# As people know them.
TITLES: Mapping[str, str] = {
    "ga4": "Google Analytics",
    "google-ads": "Google Ads",
    "linkedin": "LinkedIn",
    "meta": "Meta",
    "x": "X",
}

# They offer no way to delete what they were told of single visits.
KEEPING = frozenset({"google-ads", "linkedin", "meta", "x"})


@dataclass(frozen=True, slots=True, repr=False)
class Contact:
    """Who a person is to a provider that matches people: normalised and hashed before it leaves.

    Never filled from tracking. ``country`` is ISO 3166-1 alpha-2.
    """

    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    country: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True, slots=True)
class AdEvent:
    """One event for one provider: what it may be told, and what the consent check needs.

    ``site``, ``visitor`` (the cookie id) and ``epoch`` are for the check; ``visitor`` leaves only
    hashed, as a member's pseudonym. Exactly one of ``page`` (URL without what identifies),
    ``conversion`` and ``audience`` (ids at the provider) says what happened;
    ``member`` False takes the visitor out of the audience, or where all three are missing has the
    provider delete the visitor. ``occurred_at`` in milliseconds since 1970.
    """

    event_id: str
    site: str
    visitor: str = field(repr=False)
    occurred_at: int
    epoch: int
    page: str | None = field(default=None, repr=False)
    conversion: str | None = None
    audience: str | None = None
    member: bool = True
    ids: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_agent: str | None = field(default=None, repr=False)
    contact: Contact | None = field(default=None, repr=False)
