"""The record of processing activities (Art. 30(1) GDPR), as the policy has it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from privacy.lifecycle import LIFE_CYCLES
from privacy.policy.ads import Covers, Purpose
from privacy.policy.parties import Authority, Controller, Recipient
from privacy.policy.rights import RightsRules
from privacy.policy.services import MailingList, Service
from privacy.policy.whole import Activity, Policy
from privacy.unsubscribe import KEPT

# What the pipeline does by itself (Art. 32(1) GDPR); the policy adds the controller's own.
MEASURES = (
    "Personal fields of forms are sealed (AES-256-GCM) with a key of each case as they enter.",
    "Keys are kept apart from the data, and each use by a department of the service is recorded.",
    "When a service is done its case's key is destroyed; holders outside delete and answer.",
    "A signed certificate tells when and how each deletion was verified.",
    "Full IP addresses are shortened where they enter, and are in no topic, table or log.",
    "Statistics are of cities and pages, and leave out cells of few visitors.",
    "Consent is checked when data are sent, not before; without an answer nothing is sent.",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One processing activity. ``recipients`` are categories or names, as the policy has them.

    ``transfers`` are recipients in third countries: who, country and safeguard.
    """

    name: str
    title: str
    purposes: Sequence[str]
    legal_basis: str
    persons: Sequence[str]
    data: Sequence[str]
    recipients: Sequence[str]
    transfers: Sequence[str]
    kept_until: str


@dataclass(frozen=True, slots=True)
class Register:
    """The whole record."""

    version: str
    controller: Controller
    authority: Authority | None
    entries: Sequence[Entry]
    security: Sequence[str]


def register(policy: Policy) -> Register:
    """Return the record of everything the policy says is processed."""
    entries = [
        *(_of_service(policy, name, each) for name, each in policy.services.items()),
        *(_of_list(policy, name, each) for name, each in policy.lists.items()),
        *(_of_purpose(policy, name, each) for name, each in policy.purposes.items()),
        *(() if policy.rights is None else [_of_rights(policy, policy.rights)]),
        *(_of_activity(name, each) for name, each in policy.activities.items()),
    ]
    measures = (*MEASURES, *policy.security)
    return Register(policy.version, policy.controller, policy.authority, entries, measures)


def _of_service(policy: Policy, name: str, service: Service) -> Entry:
    holders = [policy.holders[each] for each in policy.holders_of(name)]
    departments = [policy.departments[each].title for each in service.departments]
    return Entry(
        name=f"services.{name}",
        title=service.title,
        purposes=service.purposes,
        legal_basis=service.legal_basis,
        persons=service.persons,
        data=[each.title for each in service.fields.values()],
        recipients=[*departments, *(each.title for each in holders), *service.recipients],
        transfers=[told for each in holders for told in _transfer(each.title, each)],
        kept_until=kept_until(service),
    )


def kept_until(service: Service) -> str:
    """Return a service's retention rule in words: until when, and what consent prolongs it for."""
    rule = LIFE_CYCLES[service.life_cycle].kept_until
    further = service.further_processing
    return rule if further is None else f"{rule} ({further})"


def _of_list(policy: Policy, name: str, of: MailingList) -> Entry:
    joined = [each for each, service in policy.services.items() if service.list == name]
    holders = {each: policy.holders[each] for it in joined for each in policy.holders_of(it)}
    return Entry(
        name=f"lists.{name}",
        title=of.title,
        purposes=[f"{of.kind} by e-mail"],
        legal_basis=of.legal_basis,
        persons=["subscribers"],
        data=["e-mail address", "of who unsubscribed: a keyed hash of it"],
        recipients=[each.title for each in holders.values()],
        transfers=[told for each in holders.values() for told in _transfer(each.title, each)],
        kept_until=f"they unsubscribe, at any time; from then on {KEPT}",
    )


def _of_purpose(policy: Policy, name: str, purpose: Purpose) -> Entry:
    told = {provider: each for provider, each in policy.providers.items() if each.purpose == name}
    return Entry(
        name=f"purposes.{name}",
        title=purpose.title,
        purposes=[_COVERED[purpose.covers]],
        legal_basis=purpose.legal_basis,
        persons=["visitors"],
        data=purpose.data,
        recipients=list(told),
        transfers=[line for who, each in told.items() for line in _transfer(who, each)],
        kept_until=purpose.kept_until or "",
    )


_COVERED = {
    Covers.ANALYTICS: "statistics of how the sites are used",
    Covers.LOCATION: "statistics by city",
    Covers.ADS: "advertising",
    Covers.PROFILE: "suggestions of pages and contacts, by a profile",
}


def _of_rights(policy: Policy, rights: RightsRules) -> Entry:
    addressees = rights.controllers.values()
    sent = "if the person has a copy sent there"
    return Entry(
        name="rights",
        title="Answering people who use their rights",
        purposes=[
            "Access, rectification, erasure, restriction, portability, objection, withdrawal"
        ],
        legal_basis="Art. 6(1)(c) GDPR",
        persons=["people who ask"],
        data=["e-mail address or cookie id", "what they write", "what is held of them"],
        recipients=[
            policy.departments[rights.department].title,
            *(f"{each.title}, {sent}" for each in addressees),
        ],
        transfers=[line for each in addressees for line in _transfer(each.title, each)],
        kept_until=(
            f"{rights.letter_hours} hours after the last letter; an answer, until it is fetched or"
            f" {rights.answer_days} days old; what was asked and done, without whose it was, stays"
        ),
    )


def _of_activity(name: str, activity: Activity) -> Entry:
    return Entry(
        name=f"activities.{name}",
        title=activity.title,
        purposes=activity.purposes,
        legal_basis=activity.legal_basis,
        persons=activity.persons,
        data=activity.data,
        recipients=activity.recipients,
        transfers=(),
        kept_until=activity.kept_until,
    )


def _transfer(who: str, recipient: Recipient) -> Iterator[str]:
    if recipient.third_country is not None:
        yield f"{who}: {recipient.third_country} ({recipient.safeguard})"
