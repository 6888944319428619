"""How people's requests are answered: who does it, and in which time (S17 to S24)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated

from pydantic import Field, StrictInt

from privacy.policy.parties import Recipient
from privacy.policy.parts import Broken, Name, Part, Text, text

HttpsUrl = Annotated[
    str,
    text(
        r"https://[^\s/?#@]+(/[^\s?#]*)?",
        "is no address to send to; write https://host/path, without user, query or fragment",
    ),
]


class Addressee(Recipient):
    """Another controller, whom a portable copy may be sent to directly (Art. 20(2) GDPR)."""

    title: Text = Field(description="as people read it")
    url: HttpsUrl = Field(description="where it takes copies")


class RightsRules(Part):
    """The terms on which requests are answered. Months of the law are not here: it sets them."""

    department: Name = Field(description="answers requests; with its token letters are read")
    url: HttpsUrl | None = Field(
        default=None, description="where people reach the collector: put before links in letters"
    )
    link_hours: StrictInt = Field(
        default=72, ge=1, le=720, description="a link that confirms a request is good for"
    )
    answer_days: StrictInt = Field(
        default=14, ge=1, le=90, description="an answer can be fetched for"
    )
    letter_hours: StrictInt = Field(
        default=72, ge=1, le=720, description="for the mail system, until letters are unreadable"
    )
    notice_hours: StrictInt = Field(
        default=0, ge=0, le=720, description="from the notice to the lifting of a restriction"
    )
    most_per_month: StrictInt = Field(
        default=10, ge=1, le=1_000, description="of one right by one person; more is excessive"
    )
    holder_hours: StrictInt = Field(
        default=72, ge=1, le=720, description="for holders, to correct, hold and export"
    )
    automated_decisions: Text = Field(
        default="No decision is made by automated means alone (Art. 22 GDPR).",
        description="what access explains of them (Art. 15(1)(h) GDPR)",
    )
    compelling: Mapping[Name, Text] = Field(
        default={}, description="services that an objection does not end, and the grounds why"
    )
    controllers: Mapping[Name, Addressee] = {}


def broken_rights(
    rights: RightsRules,
    departments: Collection[str] | None,
    services: Collection[str] | None,
) -> Iterator[Broken]:
    """Find what the section names and the policy does not have.

    None: that section is wrong in itself, which is told already.
    """
    if departments is not None and rights.department not in departments:
        rule = f"is none; describe it in [departments.{rights.department}]"
        yield Broken(("department",), rule)
    if services is not None:
        for name in rights.compelling:
            if name not in services:
                rule = f"is no service; describe it in [services.{name}]"
                yield Broken(("compelling", name), rule)
