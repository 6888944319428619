"""The policy with all its sections, held against each other."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from privacy.ads import ProviderName
from privacy.consent import RESERVED
from privacy.policy.ads import Audience, Covers, Provider, Purpose, broken_provider
from privacy.policy.parties import Authority, Controller, Department, Holder
from privacy.policy.parts import (
    Broken,
    BrokenRulesError,
    LegalBasis,
    Name,
    Part,
    Text,
    Texts,
)
from privacy.policy.profiles import Profiles, broken_profiles
from privacy.policy.rights import RightsRules, broken_rights
from privacy.policy.services import MailingList, Service

RIGHTS = "rights"
"""Whose key the answers to people's rights are made with: no department may have its name."""


class Activity(Part):
    """Processing that is neither a service nor decided by consent, for the register."""

    title: Text
    legal_basis: LegalBasis
    purposes: Texts
    persons: Texts = Field(description="whose data")
    data: Texts = Field(description="which data")
    recipients: tuple[Text, ...] = ()
    kept_until: Text


class Policy(Part):
    """The whole policy. A section that others name stands above them, since it is held first."""

    version: Text = Field(description="changes with every change of the policy")
    controller: Controller
    authority: Authority | None = None
    sites: Texts | None = Field(default=None, description="by the names the settings give them")
    security: tuple[Text, ...] = Field(default=(), description="measures, for the register")
    departments: Mapping[Name, Department] = {}
    lists: Mapping[Name, MailingList] = {}
    purposes: Mapping[Name, Purpose] = {}
    audiences: Mapping[Name, Audience] = {}
    providers: Mapping[ProviderName, Provider] = {}
    profiles: Profiles | None = None
    services: Mapping[Name, Service] = {}
    holders: Mapping[Name, Holder] = {}
    rights: RightsRules | None = None
    activities: Mapping[Name, Activity] = {}

    @field_validator("departments")
    @classmethod
    def _leave_rights_alone(
        cls, departments: Mapping[Name, Department]
    ) -> Mapping[Name, Department]:
        rule = "is the name of the key for people's rights; choose another"
        _raise(Broken((name,), rule) for name in departments if name == RIGHTS)
        return departments

    @field_validator("audiences")
    @classmethod
    def _are_of_sites(
        cls, audiences: Mapping[Name, Audience], info: ValidationInfo
    ) -> Mapping[Name, Audience]:
        _raise(_unknown(audiences, info, sites=_SITES))
        return audiences

    @field_validator("purposes")
    @classmethod
    def _leave_reserved_alone(cls, purposes: Mapping[Name, Purpose]) -> Mapping[Name, Purpose]:
        rule = "stands for a right of the person; choose another name"
        _raise([Broken((name,), rule) for name in purposes if name in RESERVED])
        return purposes

    @field_validator("providers")
    @classmethod
    def _can_be_told(
        cls, providers: Mapping[ProviderName, Provider], info: ValidationInfo
    ) -> Mapping[ProviderName, Provider]:
        purposes = info.data.get("purposes")
        broken = [
            Broken((name, *path), rule)
            for name, provider in providers.items()
            for path, rule in broken_provider(name, provider, purposes)
        ]
        _raise([*broken, *_unknown(providers, info, audiences=_AUDIENCES, sites=_SITES)])
        return providers

    @field_validator("profiles")
    @classmethod
    def _can_be_made(cls, profiles: Profiles | None, info: ValidationInfo) -> Profiles | None:
        if profiles is not None:
            _raise(broken_profiles(profiles, info.data.get("purposes")))
        return profiles

    @field_validator("services")
    @classmethod
    def _can_be_rendered(
        cls, services: Mapping[Name, Service], info: ValidationInfo
    ) -> Mapping[Name, Service]:
        broken = _without_authority(info, "13(2)(d)") if services else ()
        _raise([*broken, *_unknown(services, info, departments=_DEPARTMENTS, list=_LISTS)])
        return services

    @field_validator("holders")
    @classmethod
    def _hold_something(
        cls, holders: Mapping[Name, Holder], info: ValidationInfo
    ) -> Mapping[Name, Holder]:
        _raise(_unknown(holders, info, services=_SERVICES))
        return holders

    @field_validator("rights")
    @classmethod
    def _can_be_answered(
        cls, rights: RightsRules | None, info: ValidationInfo
    ) -> RightsRules | None:
        if rights is not None:
            services = info.data.get("services")
            # Services that lack an authority said so already.
            broken = () if services is None else _without_authority(info, "12(4)")
            _raise([*broken, *broken_rights(rights, info.data.get("departments"), services)])
        return rights

    def covering(self, what: Covers) -> Mapping[str, Purpose]:
        """Return the purposes whose consent decides ``what``."""
        return {name: each for name, each in self.purposes.items() if each.covers == what}

    def audiences_of(self, site: str, path: str | None, name: str | None) -> tuple[str, ...]:
        """Return the audiences an event makes its visitor a member of, in the policy's order.

        ``path`` is the page's without query, ``name`` a click's or custom event's; None: it has
        none. Depends on its arguments alone, which repeat: a caller in a hurry remembers.
        """
        return tuple(
            audience for audience, each in self.audiences.items() if each.takes(site, path, name)
        )

    def holders_of(self, service: str) -> tuple[str, ...]:
        """Return the holders outside that are told of the deletion of a service's cases."""
        return tuple(name for name, each in self.holders.items() if service in each.services)


def _raise(broken: Iterable[Broken]) -> None:
    if found := list(broken):
        raise BrokenRulesError(found)


def _without_authority(info: ValidationInfo, article: str) -> Iterator[Broken]:
    if info.data.get("authority", ...) is None:
        rule = f"need an [authority], where people may complain (Art. {article} GDPR); name it"
        yield Broken((), rule)


# A section, and the rule of what is named and not in it.
_SITES = "sites", "is none of the policy's; add it to sites"
_AUDIENCES = "audiences", "is no audience; describe it in [audiences.{}]"
_DEPARTMENTS = "departments", "is none; describe it in [departments.{}]"
_LISTS = "lists", "is no list; describe it in [lists.{}]"
_SERVICES = "services", "is no service; describe it in [services.{}]"


def _unknown(
    parts: Mapping[Any, Part], info: ValidationInfo, **fields: tuple[str, str]
) -> Iterator[Broken]:
    """Find what parts name, by the ``fields`` that do, and the policy does not have.

    A section that is wrong in itself is not there; its own problems are told already.
    """
    for field, (section, rule) in fields.items():
        known = info.data.get(section)
        if known is None:
            continue
        for name, part in parts.items():
            for place, it in _named(getattr(part, field)):
                if it not in known:
                    yield Broken((name, field, *place), rule.format(it))


def _named(value: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield names and where they are: one alone, the keys of a mapping, the items of a list."""
    if isinstance(value, str):
        yield (), value
    elif isinstance(value, Mapping):
        yield from (((each,), each) for each in value)
    else:
        yield from (((place,), each) for place, each in enumerate(value or ()))
