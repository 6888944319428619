"""The certificate of a deletion: what was deleted, when, by whom, and how that was verified (S3).

It says what stays, too. It names no person: a case's id means nothing any more once its row is
gone. What is signed is ``canonical``, so that whoever has the certificate as JSON can check it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from privacy.lifecycle import ServiceEvent
from privacy.unsubscribe import KEPT

FORMAT = "lethe-deletion/1"

ERASURE = "erasure"
"""The cause of a deletion that the person asked for (S20); its id is the request's."""

# What was done, in this order, and what that means to a reader.
STEPS: Mapping[str, str] = {
    "shredded": "keys of the case destroyed, and its row in the ledger deleted",
    "unreadable": "the ledger scrubbed of what was left of them",
    "announced": "copies in topics deleted, and every holder told",
}

# What stays of whom a deletion is about, by its cause, in plain words.
_KEPT: Mapping[str, Sequence[str]] = {
    ServiceEvent.UNSUBSCRIBED: [KEPT],
    ERASURE: [
        "a keyed hash of the address, so that nothing that was sent before is taken in late",
        f"for each mailing list the person was on: {KEPT}",
    ],
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Outcome(StrEnum):
    """What a holder did about a deletion."""

    DONE = "done"
    NOTHING_HELD = "nothing_held"
    FAILED = "failed"


_ANSWERS: Mapping[str, str] = {
    Outcome.DONE: "deleted what it held",
    Outcome.NOTHING_HELD: "held nothing",
}


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deletion with what became of it. Times are milliseconds since 1970; None: not yet.

    ``cause`` is the service event or right that asked for it, ``cause_id`` the message's id.
    ``steps`` are times by the names of STEPS.
    """

    deletion_id: str
    case_id: str
    service: str
    holders: Sequence[str]
    cause: str
    cause_id: str
    requested_at: int
    deadline: int
    steps: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A holder's answer, at ``at`` (milliseconds since 1970) by its clock."""

    holder: str
    outcome: Outcome
    at: int


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at afterwards, how, when (milliseconds since 1970), and if it was gone."""

    what: str
    how: str
    at: int
    passed: bool


def lacking(
    deleted: Deleted, receipts: Sequence[Receipt], checks: Sequence[Check]
) -> Sequence[str]:
    """Return what a deletion lacks to be certified, in words; empty when nothing does."""
    return list(_lacking(deleted, receipts, checks))


def _lacking(
    deleted: Deleted, receipts: Sequence[Receipt], checks: Sequence[Check]
) -> Iterator[str]:
    for step in STEPS:
        if deleted.steps.get(step) is None:
            yield f"not {step}"
    answered = {each.holder: each.outcome for each in receipts}
    for holder in deleted.holders:
        if holder not in answered:
            yield f"no receipt of {holder}"
        elif answered[holder] not in _ANSWERS:
            yield f"{holder} failed"
    if not checks:
        yield "not verified"
    for check in checks:
        if not check.passed:
            yield f"{check.what}: not gone"


def certificate(
    deleted: Deleted,
    receipts: Sequence[Receipt],
    checks: Sequence[Check],
    *,
    controller: str,
    policy: str,
    completed_at: int,
) -> dict[str, Any]:
    """Return the content of a certificate; ValueError for a deletion that lacks something.

    ``policy`` is the version in force, ``completed_at`` when the last of it was done and verified
    (milliseconds since 1970). Receipts of others than its holders are left out.
    """
    if lacks := lacking(deleted, receipts, checks):
        raise ValueError(f"not to be certified: {'; '.join(lacks)}")
    outcomes = {each.holder: each for each in receipts}
    return {
        "format": FORMAT,
        "controller": controller,
        "policy": policy,
        "deletion_id": deleted.deletion_id,
        "case_id": deleted.case_id,
        "service": deleted.service,
        "cause": deleted.cause,
        "cause_id": deleted.cause_id,
        "requested_at": _moment(deleted.requested_at),
        "deadline": _moment(deleted.deadline),
        "completed_at": _moment(completed_at),
        "in_time": completed_at <= deleted.deadline,
        "steps": [
            {"step": step, "at": _moment(at)}
            for step in STEPS
            if (at := deleted.steps[step]) is not None
        ],
        "holders": [
            {
                "holder": name,
                "outcome": outcomes[name].outcome.value,
                "at": _moment(outcomes[name].at),
            }
            for name in sorted(deleted.holders)
        ],
        "checks": [{"what": each.what, "how": each.how, "at": _moment(each.at)} for each in checks],
        "kept": _KEPT.get(deleted.cause, []),
    }


def canonical(content: Mapping[str, Any]) -> bytes:
    """Return JSON that is the same for the same content: what is signed.

    UTF-8, keys in order, no spaces (RFC 8785, for content without fractions).
    """
    text = json.dumps(
        content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return text.encode()


def readable(content: Mapping[str, Any]) -> str:
    """Return a certificate as people read it."""
    return "\n".join(_lines(content)) + "\n"


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    yield f"Certificate of deletion {content['deletion_id']}"
    yield ""
    yield f"Controller  {content['controller']}, privacy policy {content['policy']}"
    yield f"Deleted     case {content['case_id']} of {content['service']}"
    yield f"Cause       {content['cause']} ({content['cause_id']})"
    yield f"Requested   {content['requested_at']}, to be done by {content['deadline']}"
    yield f"Completed   {content['completed_at']}, {'in time' if content['in_time'] else 'late'}"
    yield ""
    yield "What was done"
    for each in content["steps"]:
        yield f"  {each['at']}  {STEPS[each['step']]}"
    for each in content["holders"]:
        yield f"  {each['at']}  {each['holder']} {_ANSWERS[each['outcome']]}"
    yield ""
    yield "How it was verified"
    for each in content["checks"]:
        yield f"  {each['at']}  {each['what']}: {each['how']}"
    if content["kept"]:
        yield ""
        yield "What stays"
    for each in content["kept"]:
        yield f"  {each}"


@lru_cache(1_000)  # a batch of deletions has few moments
def _moment(at: int) -> str:
    """Return milliseconds since 1970 as RFC 3339, UTC."""
    moment = _EPOCH + timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
