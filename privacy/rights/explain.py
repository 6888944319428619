"""What Art. 15(1)(a) to (h) and (2) GDPR have explained of what is held (S18, S24).

All of it comes from the policy, as the register of processing has it, and from the fixed words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from privacy.policy import Policy
from privacy.policy.register import Entry, register
from privacy.rights.copy import Copy
from privacy.rights.letters import complaint
from privacy.rights.words import words


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is explained, in the person's language where the words are ours.

    ``entries`` are the processing activities: their purposes (a), categories of data (b),
    recipients (c), retention (d), and third countries with their safeguards (2). Then the rights
    (e), where to complain (f), the source (g) and automated decisions (h).
    """

    controller: str
    contact: str
    officer: str | None
    entries: Sequence[Entry]
    rights: str
    complaint: str
    source: str
    automated: str | None


def explain(policy: Policy, copy: Copy, language: str) -> Explanation:
    """Return what is to be explained of a copy: of its services and lists, and of visits."""
    said = words(language)
    names = {f"services.{each}" for each in copy.services}
    names |= {f"lists.{each}" for each in copy.lists}
    if copy.visitor:
        names |= {f"purposes.{each}" for each in policy.purposes}
    return Explanation(
        controller=policy.controller.name,
        contact=policy.controller.contact,
        officer=policy.controller.data_protection_officer,
        entries=[each for each in register(policy).entries if each.name in names],
        rights=said.headings.your_rights,
        complaint=complaint(policy, language),
        source=said.headings.sources,
        automated=None if policy.rights is None else policy.rights.automated_decisions,
    )


def as_data(explained: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON has it."""
    return {
        "controller": explained.controller,
        "contact": explained.contact,
        "data_protection_officer": explained.officer,
        "processing": [
            {
                "name": each.name,
                "title": each.title,
                "purposes": list(each.purposes),
                "legal_basis": each.legal_basis,
                "categories": list(each.data),
                "recipients": list(each.recipients),
                "third_countries": list(each.transfers),
                "kept_until": each.kept_until,
            }
            for each in explained.entries
        ],
        "rights": explained.rights,
        "complaint": explained.complaint,
        "source": explained.source,
        "automated_decisions": explained.automated,
    }
