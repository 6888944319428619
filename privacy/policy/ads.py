"""Consent, and what ad providers are told on the strength of it (S13 to S15)."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Self

from pydantic import Field, StrictBool, ValidationInfo, field_validator, model_validator

from privacy.ads import ProviderName
from privacy.consent import Mode
from privacy.policy.parties import Recipient
from privacy.policy.parts import Broken, LegalBasis, Name, Part, Text, Texts, text

TOLD_PAGES = frozenset({"ga4", "meta"})  # the others know visits by an id of their own only

PagePattern = Annotated[
    str,
    text(
        r"[/*][^?#\[]*",
        "is not the path of pages; begin with / and write * for anything, no query or fragment",
    ),
]
EventName = Annotated[
    str,
    text(
        r"[a-z0-9_.:-]{1,64}",
        "is no event's name; use lower-case letters, digits and _ . : -, 64 at most",
    ),
]


class Covers(StrEnum):
    """What a purpose's consent decides."""

    ANALYTICS = "analytics"
    LOCATION = "location"
    ADS = "ads"
    PROFILE = "profile"


_OPT_IN = {Covers.ADS: "S14", Covers.PROFILE: "S12"}  # and the promise that says so


class Purpose(Part):
    """What tracking data are used for, and whether that needs a yes."""

    title: Text = Field(description="as visitors read it")
    covers: Covers
    mode: Mode
    legal_basis: LegalBasis
    data: tuple[Text, ...] = Field(default=(), description="which data, for the register")
    kept_until: Text | None = Field(default=None, description="how long, for the register")

    @field_validator("mode")
    @classmethod
    def _ads_need_a_yes(cls, mode: Mode, info: ValidationInfo) -> Mode:
        covers = info.data.get("covers")
        if covers in _OPT_IN and mode != Mode.OPT_IN:
            rule = f'is opt_in for {covers}, always ({_OPT_IN[covers]}); write mode = "opt_in"'
            raise ValueError(rule)
        return mode

    @field_validator("legal_basis")
    @classmethod
    def _consent_is_a_yes(cls, basis: str, info: ValidationInfo) -> str:
        """Hold it against Art. 4(11) GDPR: who did not say no has not consented."""
        if info.data.get("mode") == Mode.OPT_OUT and "6(1)(a)" in basis:
            raise ValueError('is consent, which needs a yes; write mode = "opt_in" or another')
        return basis


class Conversion(Part):
    """A page and what a provider that is told no pages calls a visit to it."""

    page: PagePattern = Field(description="path, * for anything: /thanks*")
    id: Text = Field(description="the rule's or event's id at the provider")


class Provider(Recipient):
    """What one ad provider is told, of which sites, and on which consent."""

    purpose: Name
    sites: Texts
    pages: StrictBool = Field(default=False, description="tell it the pages visited (ga4, meta)")
    conversions: tuple[Conversion, ...] = Field(
        default=(), description="pages it is told of by an id of its own (google-ads, linkedin, x)"
    )
    audiences: Mapping[Name, Text] = Field(
        default={}, description="audience to its id at the provider"
    )
    user_agent: StrictBool = Field(
        default=False, description="tell it the browser (meta only, which refuses pages without)"
    )

    def conversion_of(self, path: str) -> str | None:
        """Return the provider's id for a visit to ``path``: the first that matches, or None."""
        return next((each.id for each in self.conversions if fnmatchcase(path, each.page)), None)


class Audience(Part):
    """Visitors who did one of these; any rule that matches makes a member."""

    sites: Texts
    pages: tuple[PagePattern, ...] = Field(default=(), description="paths, * for anything")
    events: tuple[EventName, ...] = Field(
        default=(), description="names of clicks and custom events"
    )

    @model_validator(mode="after")
    def _has_a_rule(self) -> Self:
        if not self.pages and not self.events:
            raise ValueError("has no members without a rule; write pages or events")
        return self

    def takes(self, site: str, path: str | None, name: str | None) -> bool:
        """Tell whether an event of ``site`` makes its visitor a member."""
        return site in self.sites and (
            name in self.events or (path is not None and matches(path, self.pages))
        )


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a page's path is one of the patterns' (``*`` for anything)."""
    # fnmatch compiles a pattern once and keeps it.
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def broken_provider(
    name: ProviderName,
    provider: Provider,
    purposes: Mapping[str, Purpose] | None,
) -> Iterator[Broken]:
    """Find what a provider cannot be told.

    None: the section is wrong in itself, which is told already.
    """
    if purposes is not None:
        purpose = purposes.get(provider.purpose)
        if purpose is None or purpose.covers != Covers.ADS:
            yield Broken(
                ("purpose",), 'is no purpose for ads; name one of [purposes] with covers = "ads"'
            )
    if provider.pages and name not in TOLD_PAGES:
        remedy = f"write [[providers.{name}.conversions]] instead"
        yield Broken(("pages",), f"is not for this provider, which takes no pages; {remedy}")
    if provider.conversions and name in TOLD_PAGES:
        yield Broken(
            ("conversions",), "is not for this provider, which is told pages; write pages = true"
        )
    if provider.user_agent and name != "meta":
        yield Broken(("user_agent",), "is for meta alone; take it out")
    if not (provider.pages or provider.conversions or provider.audiences):
        means = "pages = true" if name in TOLD_PAGES else "conversions"
        yield Broken((), f"is told nothing; write {means} or audiences, or take the provider out")
