"""What the broker is told of a deletion: each time the same, so that it may be told again."""

from collections.abc import Callable, Iterator
from dataclasses import fields

from privacy.policy import Policy
from schemas.codec import encode
from sinks.ledger.cases import Deletion
from sinks.ledger.outbox import Message

DELETIONS = "deletions"
MAILING_CHANGES = "mailing-changes"


class Announcement:
    """The topics that must forget a case, and those that tell others to."""

    def __init__(self, policy: Policy, topic_of: Callable[[str], str]) -> None:
        """Take ``topic_of`` to name a topic of the catalogue as the broker has it."""
        self._policy = policy
        self._topic_of = topic_of

    def of(self, deletion: Deletion) -> Iterator[Message]:
        """Yield tombstones for the departments, what the holders erase, and who is not mailed."""
        key = deletion.case_id.encode()
        for department in deletion.departments:
            yield Message(self._topic_of(f"cases-{department}"), key, None)
        yield Message(self._topic_of(DELETIONS), key, _deletion_record(deletion))
        service = self._policy.services.get(deletion.service)
        if service is not None and service.list is not None:
            value = _unsubscribed_record(deletion, service.list)
            yield Message(self._topic_of(MAILING_CHANGES), key, value)


def _deletion_record(deletion: Deletion) -> bytes:
    return encode("deletion", {name: getattr(deletion, name) for name in _TOLD})


# The departments are of no concern outside.
_TOLD = tuple(each.name for each in fields(Deletion) if each.name != "departments")


def _unsubscribed_record(deletion: Deletion, list_: str) -> bytes:
    return encode(
        "mailing_change",
        {
            "change_id": deletion.deletion_id,
            "list": list_,
            "case_id": deletion.case_id,
            "kind": "unsubscribed",
            "token": None,
            "at": deletion.requested_at,
        },
    )
