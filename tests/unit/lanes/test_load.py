"""What the table of facts cannot hold is refused, or it would stop the lane for ever."""

from typing import Any

import pyarrow as pa
import pytest

from privacy.outcome import Reason
from schemas.codec import decode, encode
from schemas.columns import arrow_schema
from streams.lanes.load import loadable

GOOD: dict[str, Any] = {
    "event_id": "8f14e45f-ceea-467f-a0e6-32c1b2f7a001", "occurred_at": 1_795_424_000_000,
    "site": "shop.example", "type": "page_view", "page": "/tea",
}  # fmt: skip


class Message:
    def __init__(self, **changes: Any) -> None:
        self._value = changes.get("raw") or encode("anonymised_event", {**_all(), **changes})

    def value(self) -> bytes:
        return self._value


def _all() -> dict[str, Any]:
    empty = {pa.string(): "", pa.int32(): 0, pa.int64(): 0, pa.bool_(): False}
    return {each.name: empty.get(each.type) for each in arrow_schema("anonymised_event")} | GOOD


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": -1}, Reason.BAD_STATUS),
        ({"status": 99}, Reason.BAD_STATUS),
        ({"status": 70_000}, Reason.BAD_STATUS),
        ({"event_id": ""}, Reason.BAD_EVENT_ID),
        ({"event_id": "x" * 40}, Reason.BAD_EVENT_ID),
        ({"event_id": GOOD["event_id"] + "\n"}, Reason.BAD_EVENT_ID),
        ({"occurred_at": -1}, Reason.ABSURD_TIME),
        ({"occurred_at": 253_402_300_799_999}, Reason.ABSURD_TIME),
        ({"raw": b"junk"}, Reason.WRONG_MAGIC),
    ],
)
def test_what_the_table_cannot_hold_is_refused_and_the_rest_loaded(
    changes: dict[str, Any], reason: Reason
) -> None:
    bad: Any = Message(**changes)
    found = loadable([Message(), bad, Message(status=404)])  # type: ignore[list-item]
    assert [(source, reject.reason) for source, reject in found.rejects] == [(bad, reason)]
    assert found.columns["status"].to_pylist() == [0, 404]
    assert decode("anonymised_event", Message().value())["event_id"] == GOOD["event_id"]
