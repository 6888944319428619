"""The policy as tables, for ``lethe policy show`` and ``lethe policy register``."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from privacy.ads import IDS
from privacy.policy import (
    Audience,
    FormField,
    Policy,
    Profiles,
    Provider,
    Recipient,
    RightsRules,
    Service,
)
from privacy.policy.register import kept_until


def tables(policy: Policy) -> Iterator[Table]:
    """Yield what the policy says, section by section, without those that say nothing."""
    every = (_departments, _services, _holders, _lists, _purposes, _providers, _audiences)
    made = [each(policy) for each in every]
    if policy.profiles is not None:
        made += _profiles(policy.profiles)
    if policy.rights is not None:
        made += _rights(policy.rights, policy)
    return (each for each in made if each.row_count)


def service(name: str, policy: Policy) -> Iterator[Table]:
    """Yield what the policy says of one service: all of it, and its form."""
    it = policy.services[name]
    made = table(f"{name}: {it.title}", "", "")
    for what, told in _said(name, it, policy):
        add(made, what, told)
    yield made
    form = table("Form", "field", "as people read it", "kind", "mandatory", "sealed", "shown on")
    for field, each in it.fields.items():
        kind = f"{each.kind}: {', '.join(each.options)}" if each.options else each.kind
        flags = map(_yes, (each.mandatory, each.personal))
        add(form, field, each.title, kind, *flags, "\n".join(_shown(each)))
    yield form


def table(title: str, *columns: str) -> Table:
    """Return an empty table; without names of columns it has no head."""
    made = Table(title=title, title_justify="left", show_lines=True, show_header=any(columns))
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def add(to: Table, *cells: str) -> None:
    """Add a row of plain text: what a policy says in brackets is no markup."""
    to.add_row(*map(Text, cells))


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _said(name: str, it: Service, policy: Policy) -> Iterator[tuple[str, str]]:
    yield "life cycle", it.life_cycle
    yield "kept until", kept_until(it)
    yield "purposes", "\n".join(it.purposes)
    yield "legal basis", it.legal_basis
    yield "read by", "\n".join(policy.departments[each].title for each in it.departments)
    if it.recipients:
        yield "also told", "\n".join(it.recipients)
    if holders := policy.holders_of(name):
        deletes = f"delete within {it.deadline_hours} h"
        told = [f"{policy.holders[each].title} ({each}), {deletes}" for each in holders]
        yield "held outside by", "\n".join(told)
    yield "group", it.group
    if it.list is not None:
        yield "mailing list", policy.lists[it.list].title


def _shown(field: FormField) -> Iterator[str]:
    if field.guest_list:
        yield "guest list"
    if field.badge:
        yield "badge"


def _departments(policy: Policy) -> Table:
    made = table("Departments", "department", "title", "contact", "reads")
    for name, each in policy.departments.items():
        reads = [service for service, it in policy.services.items() if name in it.departments]
        add(made, name, each.title, each.contact, "\n".join(reads))
    return made


def _services(policy: Policy) -> Table:
    made = table("Services", "service", "title", "legal basis", "mandatory fields", "kept until")
    for name, each in policy.services.items():
        mandatory = [field for field, it in each.fields.items() if it.mandatory]
        fields = ", ".join(mandatory)
        add(made, name, each.title, each.legal_basis, fields, kept_until(each))
    return made


def _holders(policy: Policy) -> Table:
    made = table("Held outside", "holder", "title", "of services", "in")
    for name, each in policy.holders.items():
        add(made, name, each.title, "\n".join(each.services), _country(each))
    return made


def _country(recipient: Recipient) -> str:
    country = recipient.third_country
    return "" if country is None else f"{country}: {recipient.safeguard}"


def _lists(policy: Policy) -> Table:
    made = table("Mailing lists", "list", "title", "kind", "legal basis")
    for name, each in policy.lists.items():
        add(made, name, each.title, each.kind, each.legal_basis)
    return made


def _purposes(policy: Policy) -> Table:
    made = table("Purposes", "purpose", "as visitors read it", "covers", "mode", "legal basis")
    for name, each in policy.purposes.items():
        add(made, name, each.title, each.covers, each.mode, each.legal_basis)
    return made


def _providers(policy: Policy) -> Table:
    made = table(
        "Who gets what", "provider", "on consent to", "of sites", "is told", "with its ids", "in"
    )
    for name, each in policy.providers.items():
        sites, told, ids = map("\n".join, (each.sites, _told(each), IDS[name]))
        add(made, name, each.purpose, sites, told, ids, _country(each))
    return made


def _told(provider: Provider) -> Iterator[str]:
    if provider.pages:
        yield "pages visited"
    for conversion in provider.conversions:
        yield f"a visit to {conversion.page}, as {conversion.id}"
    for audience, name in provider.audiences.items():
        yield f"membership of {audience}, as {name}"
    if provider.user_agent:
        yield "the browser (raw user agent)"


def _audiences(policy: Policy) -> Table:
    made = table("Audiences", "audience", "of sites", "who", "told to")
    for name, each in policy.audiences.items():
        told = [provider for provider, it in policy.providers.items() if name in it.audiences]
        add(made, name, "\n".join(each.sites), "\n".join(_members(each)), "\n".join(told))
    return made


def _members(audience: Audience) -> Iterator[str]:
    for page in audience.pages:
        yield f"visited {page}"
    for event in audience.events:
        yield f"did {event}"


def _profiles(it: Profiles) -> Iterator[Table]:
    made = table("Profiles", "on consent to", "a city is kept that is", "for", "pages suggested")
    visited = f"visited on {it.city_days} of {it.city_window_days} days"
    pages = () if it.content is None else it.content.pages
    add(made, it.purpose, visited, f"{it.kept_days} days after the last sign", "\n".join(pages))
    yield made
    interests = table("Interests", "interest", "as visitors read it", "who")
    for name, each in it.interests.items():
        who = [f"visited {page}" for page in each.pages]
        who += [f"sought {term}" for term in each.terms]
        add(interests, name, each.title, "\n".join(who))
    yield interests
    contacts = table("Contacts that are suggested", "name", "title", "contact", "on interest in")
    for name, contact in it.contacts.items():
        add(contacts, name, contact.title, contact.contact, "\n".join(contact.interests))
    yield contacts


def _rights(it: RightsRules, policy: Policy) -> Iterator[Table]:
    made = table("Answering people", "", "")
    for what, told in _terms(it, policy):
        add(made, what, told)
    yield made
    elsewhere = table("Copies are sent to", "controller", "title", "address", "in")
    for name, each in it.controllers.items():
        add(elsewhere, name, each.title, each.url, _country(each))
    yield elsewhere


def _terms(it: RightsRules, policy: Policy) -> Iterator[tuple[str, str]]:
    yield "answered by", policy.departments[it.department].title
    yield "links in letters begin with", it.url or "what the mail system puts there"
    yield "a link confirms a request for", f"{it.link_hours} h"
    yield "an answer can be fetched for", f"{it.answer_days} days"
    yield "letters can be read for", f"{it.letter_hours} h"
    yield "a restriction is lifted", f"{it.notice_hours} h after the notice"
    yield "one person may ask for a right", f"{it.most_per_month} times a month"
    yield "holders outside have", f"{it.holder_hours} h"
    yield "automated decisions", it.automated_decisions
    for name, grounds in it.compelling.items():
        yield f"an objection does not end {name}", grounds
