"""Profiles of visitors who agreed: what is kept, for how long, what is suggested (S11, S12)."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from privacy.policy.ads import Covers, PagePattern, Purpose
from privacy.policy.parts import Broken, Name, Names, Part, Text, text

PagePath = Annotated[
    str, text(r"/[^?#\[*]*", "is not the path of one page; begin with /, no *, query or fragment")
]
Days = Annotated[int, Field(strict=True, ge=1, le=3_650)]


class Interest(Part):
    """Something people are interested in, and what shows it."""

    title: Text = Field(description="as visitors read it")
    pages: tuple[PagePattern, ...] = Field(default=(), description="paths, * for anything")
    terms: tuple[Text, ...] = Field(default=(), description="words in what is searched for")

    @model_validator(mode="after")
    def _has_a_sign(self) -> Self:
        if not self.pages and not self.terms:
            raise ValueError("has nothing that shows it; write pages or terms")
        return self


class Contact(Part):
    """A contact of the controller's that may be suggested: nobody else ever is."""

    title: Text
    contact: Text = Field(description="how to reach it")
    interests: Names


class Content(Part):
    """Pages of the sites that may be suggested."""

    pages: Annotated[tuple[PagePath, ...], Field(min_length=1)]


class Profiles(Part):
    """What is kept of visitors who agreed to a profile."""

    purpose: Name = Field(description='of [purposes], with covers = "profile"')
    city_days: Days = Field(default=3, description="days on which a city is visited regularly")
    city_window_days: Days = Field(default=90, description="among so many last days")
    kept_days: Days = Field(default=180, description="after the last sign")
    interests: Mapping[Name, Interest] = {}
    contacts: Mapping[Name, Contact] = {}
    content: Content | None = None

    @model_validator(mode="after")
    def _can_be_regular(self) -> Self:
        if self.city_days > self.city_window_days:
            raise ValueError("never finds a city; write city_days below city_window_days")
        return self


def broken_profiles(profiles: Profiles, purposes: Mapping[str, Purpose] | None) -> Iterator[Broken]:
    """Find what profiles name and the policy does not have.

    None: the section is wrong in itself, which is told already.
    """
    purpose = None if purposes is None else purposes.get(profiles.purpose)
    if purposes is not None and (purpose is None or purpose.covers != Covers.PROFILE):
        yield Broken(
            ("purpose",),
            'is no purpose for profiles; name one of [purposes] with covers = "profile"',
        )
    for name, contact in profiles.contacts.items():
        for place, interest in enumerate(contact.interests):
            if interest not in profiles.interests:
                yield Broken(
                    ("contacts", name, "interests", place),
                    f"is no interest; describe it in [profiles.interests.{interest}]",
                )
