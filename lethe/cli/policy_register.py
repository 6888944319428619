"""The record of processing activities (Art. 30 GDPR), printed."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from rich.table import Table

from lethe.cli.policy_tables import add, table
from privacy.policy.register import Entry, Register


def as_json(register: Register) -> str:
    """Return the record as one JSON object; what the policy does not say is null."""
    return json.dumps(asdict(register), ensure_ascii=False, default=lambda part: part.model_dump())


def for_terminal(register: Register) -> Iterator[str | Table]:
    """Yield the record's parts as lines and a table."""
    yield from (f"{what}: {told}" for what, told in _head(register))
    made = table(
        "Processing activities",
        "activity",
        "purposes and legal basis",
        "persons and data",
        "recipients",
        "third countries, safeguards",
        "kept until",
    )
    for each in register.entries:
        add(
            made,
            f"{each.title}\n({each.name})",
            "\n".join([*each.purposes, each.legal_basis]),
            f"{', '.join(each.persons)}: {', '.join(each.data)}",
            "\n".join(each.recipients),
            "\n".join(each.transfers),
            each.kept_until,
        )
    yield made
    yield "Security measures (Art. 32 GDPR):"
    yield from (f"- {each}" for each in register.security)


def markdown(register: Register) -> str:
    """Return the record as a Markdown document."""
    parts = ["# Record of processing activities (Art. 30 GDPR)", _items(_head(register))]
    for entry in register.entries:
        parts += [f"## {entry.title}", _items(_said(entry))]
    parts += ["## Security measures (Art. 32 GDPR)", _list(register.security)]
    return "\n\n".join(parts)


def _head(register: Register) -> Iterator[tuple[str, str]]:
    yield "Version", register.version
    controller = register.controller
    named = (controller.name, controller.address, controller.country, controller.contact)
    yield "Controller", ", ".join(each for each in named if each is not None)
    if controller.data_protection_officer is not None:
        yield "Data protection officer", controller.data_protection_officer
    if (authority := register.authority) is not None:
        yield "Supervisory authority", f"{authority.name}, {authority.address}"


def _said(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "Purposes", "; ".join(entry.purposes)
    yield "Legal basis", entry.legal_basis
    yield "Persons", ", ".join(entry.persons)
    yield "Data", ", ".join(entry.data) or "-"
    yield "Recipients", "; ".join(entry.recipients) or "none"
    yield "Third countries and safeguards", "; ".join(entry.transfers) or "none"
    yield "Kept until", entry.kept_until or "-"


def _items(pairs: Iterable[tuple[str, str]]) -> str:
    return _list([f"**{what}**: {told}" for what, told in pairs])


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
