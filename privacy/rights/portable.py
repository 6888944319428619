"""A copy that other services can read: what the person gave, on consent or a contract (Art. 20).

``docs/portability.md`` has the format. What is signed is its canonical JSON
(``privacy.certificate.canonical``), so that whoever gets the copy can check it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

FORMAT: Final = "lethe-portable/1"


@dataclass(frozen=True, slots=True)
class Submission:
    """A form as it was filled in: values by field, with the titles people read."""

    case_id: str
    service: str
    title: str
    legal_basis: str
    received_at: str
    titles: Mapping[str, str]
    values: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """A decision about a purpose; the notice it was taken on, if there was one."""

    site: str
    purpose: str
    decision: str
    decided_at: str
    notice_id: str | None
    notice_version: str | None
    language: str | None


def portable(
    submissions: Sequence[Submission],
    choices: Sequence[Choice],
    interests: Sequence[str],
    *,
    controller: str,
    policy: str,
    request_id: str,
    made_at: str,
) -> dict[str, Any]:
    """Return the copy. ``interests`` are those that the person put in; times are RFC 3339."""
    return {
        "format": FORMAT,
        "controller": controller,
        "policy": policy,
        "request_id": request_id,
        "made_at": made_at,
        "submissions": [
            {
                "case_id": each.case_id,
                "service": each.service,
                "title": each.title,
                "legal_basis": each.legal_basis,
                "received_at": each.received_at,
                "fields": [
                    {"name": name, "title": each.titles.get(name, name), "value": value}
                    for name, value in each.values.items()
                ],
            }
            for each in submissions
        ],
        "consents": [
            {
                "site": each.site,
                "purpose": each.purpose,
                "decision": each.decision,
                "decided_at": each.decided_at,
                "notice_id": each.notice_id,
                "notice_version": each.notice_version,
                "language": each.language,
            }
            for each in choices
        ],
        "interests": list(interests),
    }
