"""A consent change that nobody may have sent counts as a no."""

from typing import Any

import pytest

from schemas.codec import encode
from sinks.consent_barrier import read_change

CHANGE: dict[str, Any] = {
    "change_id": "3b241101-e2bb-4255-8caf-4136c566a961",
    "site": "shop.example",
    "cookie_id": "c-1",
    "purpose": "ads",
    "decision": "given",
    "notice_id": "cookies",
    "notice_version": "2026-10",
    "language": None,
    "how": "banner",
    "occurred_at": 1,
    "received_at": 1,
}


class Message:
    def __init__(self, key: bytes | None, value: bytes | None) -> None:
        self._key, self._value = key, value

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value


def test_a_change_is_read() -> None:
    found = read_change(Message(b"shop.example|c-1", encode("consent_change", CHANGE)))
    assert found is not None
    assert found["purpose"] == "ads"


@pytest.mark.parametrize(
    "message",
    [
        Message(b"shop.example|c-1", None),
        Message(b"shop.example|c-1", b"\0\0\0\0\x06rubbish"),
        Message(b"shop.example|c-2", encode("consent_change", CHANGE)),
        Message(None, encode("consent_change", CHANGE)),
        Message(b"shop.example|c-1", encode("consent_change", {**CHANGE, "notice_id": "a\0b"})),
    ],
    ids=["nothing", "rubbish", "another's", "nobody's", "NUL"],
)
def test_what_nobody_may_have_sent_is_not(message: Message) -> None:
    assert read_change(message) is None
