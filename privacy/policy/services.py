"""Services that people ask for with a form, and what becomes of what they fill in (S1 to S7)."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from privacy.attendance import OPTIONS
from privacy.lifecycle import LIFE_CYCLES, CaseState, LifeCycleName
from privacy.policy.parts import (
    Broken,
    BrokenRulesError,
    LegalBasis,
    Name,
    Names,
    Part,
    Text,
    Texts,
    once,
    text,
)

FieldName = Annotated[
    str,
    text(
        r"[a-z][a-z0-9_]{0,39}",
        "is no field's name; use lower-case letters, digits and _, a letter first, 40 at most",
    ),
]


class FieldKind(StrEnum):
    """What a field of a form holds."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    EMAIL = "email"
    PHONE = "phone"
    COUNTRY = "country"
    CHOICE = "choice"
    DATE = "date"
    BOOLEAN = "boolean"
    NUMBER = "number"


# Anybody may write anything into these, or they are somebody's: they are always sealed.
_PERSONAL = frozenset({FieldKind.TEXT, FieldKind.LONG_TEXT, FieldKind.EMAIL, FieldKind.PHONE})


class FormField(Part):
    """One field of a form. Personal ones are sealed with the case's key before Kafka has them."""

    title: Text = Field(description="as people read it")
    kind: FieldKind
    mandatory: StrictBool = False
    personal: StrictBool = True
    options: Annotated[tuple[Text, ...], once] = Field(default=(), description="of a choice")
    guest_list: StrictBool = Field(default=False, description="is on the guest list (S6)")
    badge: StrictBool = Field(default=False, description="is on the badge (S6)")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        broken = []
        if (self.kind == FieldKind.CHOICE) != bool(self.options):
            rule = 'are what a choice has; write them with kind = "choice", and only there'
            broken.append(Broken(("options",), rule))
        if not self.personal and self.kind in _PERSONAL:
            rule = "is true for what people write freely; take it out, or use another kind"
            broken.append(Broken(("personal",), rule))
        if broken:
            raise BrokenRulesError(broken)
        return self


class Group(StrEnum):
    """Whether cases belong to something that is closed as a whole: an event, survey, vacancy."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Service(Part):
    """What one form is for, who reads it, and which events end it: its life cycle."""

    title: Text
    life_cycle: LifeCycleName
    departments: Names = Field(description="who reads its cases, and nobody else")
    legal_basis: LegalBasis
    purposes: Texts
    recipients: tuple[Text, ...] = Field(default=(), description="who else gets data, in words")
    persons: Texts = Field(default=("people who fill in the form",), description="whose data")
    deadline_hours: StrictInt = Field(
        default=24, ge=1, le=720, description="for the holders, to delete"
    )
    group: Group = Group.NONE
    further_processing: Text | None = Field(
        default=None, description="what a separate consent allows after the end"
    )
    list: Name | None = Field(default=None, description="the mailing list of a subscription")
    fields: Mapping[FieldName, FormField] = Field(min_length=1)

    @property
    def email(self) -> str | None:
        """The field with the person's e-mail address, if the form has one."""
        addresses = (name for name, each in self.fields.items() if each.kind == FieldKind.EMAIL)
        return next(addresses, None)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if broken := [*_broken_fields(self), *_broken_keys(self)]:
            raise BrokenRulesError(broken)
        return self


def _broken_fields(service: Service) -> Iterator[Broken]:
    for name, each in service.fields.items():
        if each.kind == FieldKind.EMAIL and name != service.email:
            rule = "is a second e-mail address; a case is one person's, so keep one"
            yield Broken(("fields", name, "kind"), rule)
        kind = _ORGANISED.get(name) if service.life_cycle == LifeCycleName.EVENT else None
        if kind is not None and (each.personal or each.kind != kind):
            rule = f'is what the organiser decides; write kind = "{kind}" and personal = false'
            yield Broken(("fields", name), rule)
        elif kind is FieldKind.CHOICE and not set(each.options) <= set(OPTIONS[name]):
            rule = f"has one that no registration heeds; choose from {', '.join(OPTIONS[name])}"
            yield Broken(("fields", name, "options"), rule)
        for shown in ("guest_list", "badge"):
            if getattr(each, shown) and service.life_cycle not in _OF_GUESTS:
                rule = "is for registrations and invitations; take it out"
                yield Broken(("fields", name, shown), rule)


# What privacy.attendance heeds of an event, which it could not if it was sealed.
_ORGANISED = {"capacity": FieldKind.NUMBER, **dict.fromkeys(OPTIONS, FieldKind.CHOICE)}
_OF_GUESTS = frozenset({LifeCycleName.REGISTRATION, LifeCycleName.INVITATION})


def _broken_keys(service: Service) -> Iterator[Broken]:
    if service.life_cycle in {LifeCycleName.EVENT, *_OF_GUESTS} and service.group != Group.REQUIRED:
        yield Broken(("group",), 'is the event, which there must be one of; write "required"')
    subscribes = service.life_cycle == LifeCycleName.SUBSCRIPTION
    if subscribes and service.list is None:
        yield Broken(("list",), "is missing; name the one of [lists] that is subscribed to")
    if not subscribes and service.list is not None:
        yield Broken(("list",), "is what a subscription has; take it out")
    if subscribes and (service.email is None or not service.fields[service.email].mandatory):
        rule = "have no e-mail address to write to; add a mandatory field of that kind"
        yield Broken(("fields",), rule)
    if service.further_processing is not None and not _can_be_kept(service.life_cycle):
        yield Broken(("further_processing",), "is for surveys and feedback; take it out")


def _can_be_kept(name: LifeCycleName) -> bool:
    return CaseState.KEPT in LIFE_CYCLES[name].states


class ListKind(StrEnum):
    """What a mailing list is for (S5)."""

    NEWSLETTER = "newsletter"
    ADVERTISING = "advertising"
    SURVEY = "survey"
    NOTIFICATION = "notification"
    STATISTICS = "statistics"
    CONTACTS = "contacts"


class MailingList(Part):
    """A list that people are on until they unsubscribe, at any time."""

    title: Text
    kind: ListKind
    legal_basis: LegalBasis
