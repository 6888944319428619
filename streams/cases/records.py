"""Cases, notices and subscriptions as the topics carry them."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from schemas.codec import encode
from sinks.ledger.cases import Case
from streams.ids import made_id


def case_record(case: Case, department: str) -> bytes:
    """Return a case as one of its departments is told of it."""
    return encode(
        "case",
        {
            "case_id": case.case_id,
            "service": case.service,
            "site": case.site,
            "department": department,
            "group": case.group_id,
            "state": case.state.value,
            "language": case.language,
            "received_at": case.received_at,
            "changed_at": case.changed_at,
            "key_version": case.key_version,
            "sealed": {name: b64decode(each) for name, each in case.sealed.items()},
            "settings": dict(case.settings),
        },
    )


def notice_record(case: Case, kind: str, cause_id: str) -> bytes:
    """Return what the subject of a case is to be told, by whoever can read its address."""
    return encode(
        "notice",
        {
            "notice_id": made_id("notice", case.case_id, cause_id, kind),
            "case_id": case.case_id,
            "service": case.service,
            "group": case.group_id,
            "kind": kind,
            "state": case.state.value,
            "language": case.language,
            "at": case.changed_at,
        },
    )


def subscribed_record(case: Case, list_: str, token: str) -> bytes:
    """Return what the mail system is told of a new subscription, with what its mails link to."""
    return encode(
        "mailing_change",
        {
            "change_id": case.case_id,
            "list": list_,
            "case_id": case.case_id,
            "kind": "subscribed",
            "token": token,
            "at": case.changed_at,
        },
    )


def text_of(sealed: Mapping[str, bytes]) -> dict[str, str]:
    """Return sealed fields as the ledger keeps them."""
    return {name: b64encode(each).decode() for name, each in sealed.items()}


def milliseconds(moment: Any) -> int:
    """Return a time that was read from a topic as milliseconds since 1970."""
    return int(moment.timestamp() * 1000)
