"""What operators say of requests, on ``subject-requests``: by the same way as people themselves.

An operator who has seen who it is enters and confirms requests (Art. 12(6)). What they give as the
reason is kept for ever, and must name nobody.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from privacy.links import answer_token
from privacy.policy import Policy
from privacy.rights.request import Ground, erasure
from privacy.subjects import subject_id
from sinks.kafka import BatchProducer
from sinks.keys.vault import Vault
from sinks.ledger.ledger import Ledger
from streams.ids import made_id
from streams.subject_requests import OPERATOR, asked_record, said_record

SITE = "desk"
"""In the place of a site's name, for what came by none."""

AT_ONCE = 500


class Desk:
    """Says what operators decide. Raise NotStoredError when the broker does not take it."""

    def __init__(self, topic: str, producer: BatchProducer) -> None:
        self._topic = topic
        self._producer = producer

    def say(
        self,
        request_id: str,
        kind: str,
        because: str,
        at: int,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Say that a request is confirmed, refused, extended or lifted; ``at`` in milliseconds."""
        value = said_record(request_id, kind, _by(because), at, details)
        self._producer.send(self._topic, [value], [request_id.encode()])
        self._producer.stored()

    def erase(
        self,
        people: Iterable[tuple[str, str]],
        ground: Ground,
        because: str,
        *,
        policy: Policy,
        ledger: Ledger,
        vault: Vault,
        subject_key: bytes,
        at: int,
    ) -> Iterator[Sequence[str]]:
        """Enter and confirm the erasure of people, each an address and a language.

        Yields the ids of up to AT_ONCE requests when they are stored. Ids are made of the person
        and ``because``: what is entered again for the same reason is the same request.
        """
        if policy.rights is None:
            raise ValueError("the policy has no rights")
        coming = iter(people)
        while some := list(islice(coming, AT_ONCE)):
            entered: dict[str, list[bytes]] = {}
            with ledger.transaction() as connection:
                for email, language in some:
                    subject = subject_id(subject_key, email)
                    name = made_id("request", SITE, subject, because)
                    key = vault.make(connection, name, [policy.rights.department], at)
                    asked = erasure(ground, answer_token(key, name), language, email=email)
                    content = asked_record(
                        asked, key,
                        request_id=name, site=SITE, subject=subject, at=at, by=_by(because),
                    )  # fmt: skip
                    confirmed = said_record(name, "confirmed", _by(because), at)
                    entered[name] = [content, confirmed]
            values = [each for both in entered.values() for each in both]
            keys = [name.encode() for name, both in entered.items() for _ in both]
            self._producer.send(self._topic, values, keys)
            self._producer.stored()
            yield list(entered)


def _by(because: str) -> str:
    return f"{OPERATOR}: {because}"
