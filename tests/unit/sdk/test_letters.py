"""What the mail system reads, without a broker and without a key server (S17 to S24)."""

import logging
from typing import Any

import pytest

from lethe import Letter, LetterReader, LettersRefusedError
from schemas.codec import encode
from sinks.keys.seal import new_key, seal

pytestmark = pytest.mark.usefixtures("no_servers")

NOW = 1_792_665_000_000  # 2026-10-22T10:30:00Z
KEYS = {f"r-{number}": new_key() for number in range(3)}
WRITTEN = {
    "to": "lena@example.com",
    "subject": "Uw verzoek",
    "text": "Bevestig uw verzoek: https://collect.example/v1/requests/confirm/1.r-1.2.3",
    "link": "/v1/requests/confirm/1.r-1.2.3",
}


def reader(department: str = "care", prefix: str = "t.", **options: Any) -> Any:
    made: Any = LetterReader(
        "broker.example:9092", department,
        keys_url="https://keys.example", token="token", prefix=prefix, **options,
    )  # fmt: skip
    made._keys.there = dict(KEYS)
    return made


def letter(number: int, **given: Any) -> bytes:
    request_id = f"r-{number}"
    record = {
        "letter_id": f"l-{number}", "request_id": request_id, "kind": "confirm",
        "site": "shop.example", "language": "nl", "at": NOW, "key_version": 1,
        "sealed": seal(KEYS[request_id], WRITTEN, site="shop.example", case_id=request_id),
    }  # fmt: skip
    return encode("letter", record | given)


def put(mine: Any, *values: bytes | None) -> None:
    for value in values:
        mine._consumer.put("r-1", value)


def test_s17_a_letter_is_read_as_it_is_to_be_sent() -> None:
    mine = reader()
    put(mine, letter(1))
    assert mine.poll() == [Letter("l-1", "r-1", "confirm", "nl", **WRITTEN)]
    assert mine.poll() == []


def test_nothing_of_a_letter_is_in_what_a_log_may_show() -> None:
    mine = reader()
    put(mine, letter(1))
    shown = repr(mine.poll())
    assert not [each for each in WRITTEN.values() if each in shown]


def test_s17_a_letter_whose_key_is_gone_is_not_sent() -> None:
    mine = reader()
    del mine._keys.there["r-1"]
    put(mine, letter(1), letter(2))
    assert [each.letter_id for each in mine.poll()] == ["l-2"]


@pytest.mark.parametrize("value", [None, b"", b"x", letter(1)[:-3], letter(1, site="blog.example")])
def test_what_is_no_letter_is_passed_over_and_told(
    value: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    mine = reader()
    put(mine, value, letter(2))
    with caplog.at_level(logging.ERROR):
        assert [each.letter_id for each in mine.poll()] == ["l-2"]
    assert caplog.messages
    assert "lena" not in caplog.text


def test_its_groups_are_those_of_letters_and_its_login_the_departments() -> None:
    assert reader(group="mail")._consumer.options["group_id"] == "t.letters.mail"
    with pytest.raises(LettersRefusedError, match=r"log in as other\.department-care"):
        reader(prefix="other.")


def test_s17_letters_up_to_now_are_told_from_those_to_come() -> None:
    mine = reader()
    put(mine, letter(1), letter(2))
    found = mine.until_now()
    assert [each.letter_id for each in found] == ["l-1", "l-2"]
    assert mine.poll() == []
    put(mine, letter(0))
    assert next(iter(mine)).letter_id == "l-0"
