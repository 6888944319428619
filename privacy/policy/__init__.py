"""The privacy policy as data: what the controller promised, in types.

``streams.policy`` reads it from a file; everything that decides takes it as an argument. Each
broken rule is worded ``rule; remedy``, without values.
"""

from privacy.policy.ads import Audience, Conversion, Covers, Provider, Purpose, matches
from privacy.policy.parties import Authority, Controller, Department, Holder, Recipient
from privacy.policy.parts import Broken, BrokenRulesError
from privacy.policy.profiles import Profiles
from privacy.policy.rights import Addressee, RightsRules
from privacy.policy.services import (
    FieldKind,
    FormField,
    Group,
    ListKind,
    MailingList,
    Service,
)
from privacy.policy.whole import RIGHTS, Activity, Policy

__all__ = [
    "RIGHTS",
    "Activity",
    "Addressee",
    "Audience",
    "Authority",
    "Broken",
    "BrokenRulesError",
    "Controller",
    "Conversion",
    "Covers",
    "Department",
    "FieldKind",
    "FormField",
    "Group",
    "Holder",
    "ListKind",
    "MailingList",
    "Policy",
    "Profiles",
    "Provider",
    "Purpose",
    "Recipient",
    "RightsRules",
    "Service",
    "matches",
]
