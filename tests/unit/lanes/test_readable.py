"""What no database takes, and no calendar has, is refused before it can stop a lane for ever."""

from typing import Any

import pytest

from privacy.outcome import Reason, Reject
from schemas.codec import encode
from streams.cases.reading import read_event as read_service_event
from streams.cases.reading import read_submission
from streams.deletion.receipts import _read as read_receipt
from streams.delivery.lane import read_event as read_ad_event
from streams.lanes.readable import read

AT = 1_795_424_000_000
SERVICE: dict[str, Any] = {
    "event_id": "e", "service": "s", "event": "delivered", "case_id": "c", "group": None,
    "at": AT, "by": "b", "details": {"a": "b"},
}  # fmt: skip
END_OF_CALENDAR = 253_402_300_799_999


class Message:
    def __init__(self, value: bytes) -> None:
        self._value = value

    def value(self) -> bytes:
        return self._value


@pytest.mark.parametrize(
    ("changes", "reason", "fields"),
    [
        ({"case_id": "a\0"}, Reason.MALFORMED, ("case_id",)),
        ({"by": "\0", "event_id": "\0"}, Reason.MALFORMED, ("event_id", "by")),
        ({"details": {"a\0": ""}}, Reason.MALFORMED, ("details",)),
        ({"details": {"a": "\0"}}, Reason.MALFORMED, ("details",)),
        ({"at": END_OF_CALENDAR}, Reason.ABSURD_TIME, ("at",)),
        ({"at": -1}, Reason.ABSURD_TIME, ("at",)),
    ],
)
def test_what_the_ledger_cannot_hold_is_refused_by_name(
    changes: dict[str, Any], reason: Reason, fields: tuple[str, ...]
) -> None:
    value = encode("service_event", {**SERVICE, **changes})
    found = read("service_event", value, "read")
    assert isinstance(found, Reject)
    assert (found.reason, set(found.fields)) == (reason, set(fields))
    judged = read_service_event(Message(value), {"s": None})  # type: ignore[arg-type, dict-item]
    assert judged == found


def test_what_it_can_hold_is_read() -> None:
    found = read("service_event", encode("service_event", SERVICE), "read")
    assert not isinstance(found, Reject)
    assert found["details"] == {"a": "b"}


def test_every_reader_of_the_ledger_s_lanes_refuses_it() -> None:
    form = {
        "case_id": "c\0", "service": "s", "site": "shop.example", "group": None, "subject": None,
        "language": None, "received_at": AT, "key_version": 1, "sealed": {}, "settings": {},
        "further": None,
    }  # fmt: skip
    receipt = {
        "receipt_id": "r", "deletion_id": "d\0", "case_id": "c", "holder": "crm",
        "outcome": "done", "at": AT, "content": None,
    }  # fmt: skip
    ad = {
        "event_id": "e\0", "site": "shop.example", "cookie_id": "c", "occurred_at": AT,
        "consent_epoch": 1, "page": None, "conversion": None, "audience": None, "member": True,
        "ids": {}, "user_agent": None,
    }  # fmt: skip
    found: list[Any] = [
        read_submission(Message(encode("form_submission", form)), {}, AT),  # type: ignore[arg-type]
        read_receipt(Message(encode("deletion_receipt", receipt)), "crm"),  # type: ignore[arg-type]
        read_ad_event(encode("ad_event", ad)),
    ]
    assert [each.reason for each in found] == [Reason.MALFORMED] * 3
