"""The policy with all its sections, held against each other."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from privacy.ads import ProviderName
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
    services: Mapping[Name, Service] = {}
    holders: Mapping[Name, Holder] = {}
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
        _raise(_broken_sites(audiences, info))
        return audiences

    @field_validator("providers")
    @classmethod
    def _can_be_told(
        cls, providers: Mapping[ProviderName, Provider], info: ValidationInfo
    ) -> Mapping[ProviderName, Provider]:
        # A section that is wrong in itself is not there; its own problems are told already.
        purposes, audiences = info.data.get("purposes"), info.data.get("audiences")
        broken = [
            Broken((name, *path), rule)
            for name, provider in providers.items()
            for path, rule in broken_provider(name, provider, purposes, audiences)
        ]
        _raise([*broken, *_broken_sites(providers, info)])
        return providers

    @field_validator("services")
    @classmethod
    def _can_be_rendered(
        cls, services: Mapping[Name, Service], info: ValidationInfo
    ) -> Mapping[Name, Service]:
        departments, lists = info.data.get("departments"), info.data.get("lists")
        broken: list[Broken] = []
        if services and info.data.get("authority", ...) is None:
            rule = "need an [authority], where people may complain (Art. 13(2)(d) GDPR); name it"
            broken.append(Broken((), rule))
        for name, each in services.items():
            broken += (
                Broken((name, "departments", place), f"is none; describe it in [departments.{it}]")
                for place, it in enumerate(each.departments)
                if departments is not None and it not in departments
            )
            if each.list is not None and lists is not None and each.list not in lists:
                broken.append(
                    Broken((name, "list"), f"is no list; describe it in [lists.{each.list}]")
                )
        _raise(broken)
        return services

    @field_validator("holders")
    @classmethod
    def _hold_something(
        cls, holders: Mapping[Name, Holder], info: ValidationInfo
    ) -> Mapping[Name, Holder]:
        services = info.data.get("services")
        _raise(
            Broken((name, "services", place), f"is no service; describe it in [services.{it}]")
            for name, each in holders.items()
            for place, it in enumerate(each.services)
            if services is not None and it not in services
        )
        return holders

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


def _broken_sites(
    parts: Mapping[Any, Audience | Provider], info: ValidationInfo
) -> Iterator[Broken]:
    """Find sites that are not the policy's, if it names its own."""
    sites = info.data.get("sites")
    for name, each in parts.items():
        for place, site in enumerate(each.sites):
            if sites is not None and site not in sites:
                yield Broken((name, "sites", place), "is none of the policy's; add it to sites")
