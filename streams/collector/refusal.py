"""Every way in which the collector says no."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from privacy.contract import Problem

RETRY_SECONDS = 5


class Why(StrEnum):
    """Why a request is refused: the ``outcome`` label of its metric."""

    FOREIGN_ORIGIN = "foreign_origin"
    UNKNOWN_KEY = "unknown_key"
    TOO_MANY = "too_many"
    MEDIA_TYPE = "media_type"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    MALFORMED = "malformed"
    CONTRACT = "contract"
    NOT_STORED = "not_stored"
    NO_SALT = "no_salt"
    NO_CONSENTS = "no_consents"
    UNKNOWN_SERVICE = "unknown_service"
    DELETED = "deleted"
    NO_KEYS = "no_keys"
    NO_RIGHTS = "no_rights"
    TOO_MANY_BY_ONE = "too_many_by_one"


class Answer(NamedTuple):
    """What a refused client is told."""

    status: int
    error: str


ANSWERS: Mapping[Why, Answer] = {
    Why.FOREIGN_ORIGIN: Answer(403, "this origin may not send for the site"),
    Why.UNKNOWN_KEY: Answer(401, "X-Lethe-Key (or ?key=) is missing or is no site's key"),
    Why.TOO_MANY: Answer(429, "too many events or requests; wait as Retry-After says"),
    Why.MEDIA_TYPE: Answer(415, "send application/json or text/plain, in UTF-8, not compressed"),
    Why.TOO_LARGE: Answer(413, "the body is too large; send less at once"),
    Why.TOO_SLOW: Answer(408, "the body did not arrive in time"),
    Why.MALFORMED: Answer(400, "the body is not the JSON that is wanted here"),
    Why.CONTRACT: Answer(422, "nothing was stored: correct what is named in problems"),
    Why.NOT_STORED: Answer(503, "not all could be stored; send all again, with the same ids"),
    Why.NO_SALT: Answer(503, "events cannot be made anonymous now; send them again later"),
    Why.NO_CONSENTS: Answer(503, "what the visitor chose is not known now; use nothing, ask later"),
    Why.UNKNOWN_SERVICE: Answer(404, "the privacy policy has no such service"),
    Why.DELETED: Answer(410, "this form was deleted; for a new one make a new idempotency_key"),
    Why.NO_KEYS: Answer(503, "no key can be had now; send it again, with the same ids"),
    Why.NO_RIGHTS: Answer(404, "the privacy policy has no [rights]: requests are not taken here"),
    Why.TOO_MANY_BY_ONE: Answer(429, "too many requests by one person; wait as Retry-After says"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Which rule the item at ``index`` breaks; None where the batch itself is at fault."""

    index: int | None
    problem: Problem

    def as_json(self) -> dict[str, int | str | None]:
        """Return the fault as the answer shows it: names and rules, no values."""
        return {"index": self.index, "field": self.problem.field, "rule": self.problem.rule}


class Refusal(Exception):  # noqa: N818 - the word for it
    """Raised on a request's way in; ends as one answer. Holds nothing the client sent."""

    def __init__(
        self,
        why: Why,
        *,
        rule: str | None = None,
        faults: Sequence[Fault] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(why)
        self.why = why
        self.rule = rule
        self.faults = faults
        self.retry_after = RETRY_SECONDS if ANSWERS[why].status == 503 else retry_after

    def as_json(self) -> dict[str, object]:
        """Return the body of the answer."""
        body: dict[str, object] = {"error": self.rule or ANSWERS[self.why].error}
        if self.faults:
            body["problems"] = [fault.as_json() for fault in self.faults]
        return body
