"""Who has to do with the data: the controller, who watches over it, and who gets them."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from privacy.policy.parts import Broken, BrokenRulesError, Names, Part, Text, text

# European Economic Area: what goes there is no transfer to a third country (Art. 44 GDPR).
_EEA = re.compile(
    "AT|BE|BG|CY|CZ|DE|DK|EE|ES|FI|FR|GR|HR|HU|IE|IS|IT|LI|LT|LU|LV|MT|NL|NO|PL|PT|RO|SE|SI|SK"
)

Country = Annotated[str, text(r"[A-Z]{2}", "is no country's code; write two capitals, as US")]
"""ISO 3166-1 alpha-2."""


class Controller(Part):
    """Who answers for the processing (Art. 30(1)(a) GDPR)."""

    name: Text
    contact: Text = Field(description="where people turn to: the address for privacy")
    address: Text | None = None
    country: Country | None = None
    data_protection_officer: Text | None = Field(default=None, description="name and contact")


class Authority(Part):
    """Where people may complain, and their right to (Art. 77 GDPR; S24)."""

    name: Text
    address: Text
    complaint: Text = Field(description="the right to complain, as people read it")
    phone: Text | None = None
    email: Text | None = None
    website: Text | None = None


class Department(Part):
    """Those of the controller who read what services collect: their own alone (S2)."""

    title: Text
    contact: Text


class Recipient(Part):
    """Somebody outside, in a third country or not (Art. 30(1)(d) and (e), Art. 46 GDPR)."""

    third_country: Country | None = None
    safeguard: Text | None = Field(default=None, description="what protects the data there")

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.third_country and _EEA.fullmatch(self.third_country):
            rule = "is no third country; take it out, with the safeguard"
            raise BrokenRulesError([Broken(("third_country",), rule)])
        if self.third_country and not self.safeguard:
            rule = "is missing; say what protects the data there (Art. 45, 46 or 49 GDPR)"
            raise BrokenRulesError([Broken(("safeguard",), rule)])
        if self.safeguard and not self.third_country:
            rule = "is for a third country; name it as third_country, or take this out"
            raise BrokenRulesError([Broken(("safeguard",), rule)])
        return self


class Holder(Recipient):
    """A store outside the pipeline that holds services' data, and is told what to delete."""

    title: Text
    services: Names
