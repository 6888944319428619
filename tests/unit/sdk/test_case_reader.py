"""What a department reads, without a broker and without a key server (S2)."""

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from kafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)

import lethe.sealed_reader
from lethe import Case, CaseReader, CasesRefusedError, Ended, KeysUnavailableError
from schemas.codec import encode
from sinks.keys.seal import new_key, seal

pytestmark = pytest.mark.usefixtures("no_servers")

NOW = 1_792_665_000_000  # 2026-10-22T10:30:00Z
KEYS = {f"c-{number}": new_key() for number in range(9)}


def reader(group: str | None = None, department: str = "marketing", **options: Any) -> Any:
    made: Any = CaseReader(
        "broker.example:9092,other.example:9092",
        department,
        keys_url="https://keys.example",
        token="token",
        prefix="t.",
        group=group,
        **options,
    )
    made._keys.there = dict(KEYS)
    return made


def case(case_id: str, state: str = "open", **given: Any) -> bytes:
    fields = {"email": "lena@example.com", "city": "Ghent"}
    record = {
        "case_id": case_id,
        "site": "shop.example",
        "service": "sample-request",
        "department": "marketing",
        "group": None,
        "state": state,
        "language": "nl",
        "received_at": NOW,
        "changed_at": NOW + 5,
        "key_version": 1,
        "sealed": seal(KEYS[case_id], fields, site="shop.example", case_id=case_id),
        "settings": {"country": "BE"},
    }
    return encode("case", record | given)


def test_a_case_is_opened() -> None:
    mine = reader()
    mine._consumer.put("c-1", case("c-1"))
    assert mine.poll() == [
        Case(
            case_id="c-1",
            site="shop.example",
            service="sample-request",
            group=None,
            state="open",
            language="nl",
            received_at=datetime(2026, 10, 22, 10, 30, tzinfo=UTC),
            changed_at=datetime(2026, 10, 22, 10, 30, 0, 5_000, tzinfo=UTC),
            fields={"country": "BE", "email": "lena@example.com", "city": "Ghent"},
        )
    ]


def test_no_repr_holds_what_people_wrote() -> None:
    mine = reader()
    mine._consumer.put("c-1", case("c-1"))
    (found,) = mine.poll()
    assert "lena" not in repr(found)


def test_a_case_that_is_over_is_told_and_its_key_forgotten() -> None:
    mine = reader()
    mine._consumer.put("c-1", case("c-1"))
    mine._consumer.put("c-1", None)
    mine._consumer.put("", None)  # of nobody, once an hour
    assert [type(each) for each in mine.poll()] == [Case, Ended]
    assert mine._keys.forgotten == ["c-1"]


def test_a_case_whose_key_is_gone_is_passed_over_and_nothing_stops() -> None:
    mine = reader()
    del mine._keys.there["c-1"]
    for case_id in ("c-1", "c-2"):
        mine._consumer.put(case_id, case(case_id))
    assert [each.case_id for each in mine.poll()] == ["c-2"]


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\x00", case("c-1")[:-1], encode("deletion_receipt", {
            "receipt_id": "r", "deletion_id": "d", "case_id": "c-1", "holder": "crm",
            "outcome": "done", "at": 0,
        }),
        case("c-1", department="people"), case("c-2"), case("c-1", site="www.example"),
        case("c-1", key_version=2), case("c-1", sealed={"email": b"short"}),
    ],
    ids=["empty", "cut", "truncated", "foreign", "department", "key", "site", "version", "sealed"],
)  # fmt: skip
def test_what_is_no_case_of_ours_is_passed_over_and_logged_without_values(
    value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mine = reader()
    mine._consumer.put("c-1", value)
    mine._consumer.put("c-3", case("c-3"))
    assert [each.case_id for each in mine.poll()] == ["c-3"]
    assert len(caplog.records) == 1
    assert "lena" not in caplog.text


def test_while_no_keys_are_to_be_had_nothing_is_passed_over() -> None:
    mine = reader("crm")
    mine._consumer.put("c-1", case("c-1"))
    mine._keys.down = True
    for _ in range(2):
        with pytest.raises(KeysUnavailableError):
            mine.poll()
    mine._keys.down = False
    assert [each.case_id for each in mine.poll()] == ["c-1"]
    assert mine._consumer.committed is None


def test_in_a_group_what_was_returned_is_done_when_more_is_asked_for() -> None:
    mine = reader("crm")
    mine._consumer.put("c-1", case("c-1"))
    mine.poll()
    assert mine._consumer.committed is None
    mine.poll()
    assert mine._consumer.committed == 1
    assert mine._consumer.options["group_id"] == "t.department-marketing.crm"


REFUSED = (
    r"^t\.cases-{0} is not there, or not for this login: log in as t\.department-{0}, and have "
    r"lethe topics --create and lethe topics acls --apply run"
)


@pytest.mark.parametrize("group", [None, "crm"])
def test_a_topic_that_is_not_there_for_us_is_told_with_a_remedy(
    group: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    stand_in = lethe.sealed_reader.KafkaConsumer

    def consumer(**options: Any) -> Any:
        made.append(stand_in(**options))
        return made[-1]

    monkeypatch.setattr(lethe.sealed_reader, "KafkaConsumer", consumer)
    with pytest.raises(CasesRefusedError, match=REFUSED.format("people")):
        reader(group, department="people")
    assert made[0].closed


@pytest.mark.parametrize("error", [TopicAuthorizationFailedError, GroupAuthorizationFailedError])
def test_what_may_be_read_no_more_is_told_with_a_remedy(error: type[Exception]) -> None:
    mine = reader("crm")
    mine._consumer.refuses = error
    with pytest.raises(CasesRefusedError, match=REFUSED.format("marketing")):
        mine.poll()


def test_leaving_in_order_says_that_all_is_done_and_leaving_on_an_error_does_not() -> None:
    with reader("crm") as mine:
        mine._consumer.put("c-1", case("c-1"))
        mine.poll()
    assert mine._consumer.committed == 1
    broken = reader("crm")
    broken._consumer.put("c-1", case("c-1"))
    broken.__enter__().poll()
    broken.__exit__(InterruptedError, InterruptedError(), None)
    assert broken._consumer.committed is None


def test_a_commit_that_comes_too_late_is_no_error() -> None:
    mine = reader("crm")
    mine._consumer.lost = True
    mine._consumer.put("c-1", case("c-1"))
    mine.poll()
    assert mine.poll() == []


def test_what_is_present_is_what_came_last_and_did_not_end() -> None:
    mine = reader()
    for case_id, value in [
        ("c-1", case("c-1")), ("c-2", case("c-2")), ("c-3", case("c-3")),
        ("c-1", case("c-1", "kept")), ("c-2", None),
    ]:  # fmt: skip
        mine._consumer.put(case_id, value)
    for _ in range(2):
        found = mine.present()
        assert {each.case_id: each.state for each in found.values()} == {
            "c-1": "kept", "c-3": "open",
        }  # fmt: skip
    assert mine._consumer.committed is None
    with pytest.raises(ValueError, match="group"):
        reader("crm").present()


def test_it_goes_on_for_ever() -> None:
    mine = reader()
    changes = iter(mine)
    for number in range(3):
        mine._consumer.put(f"c-{number}", case(f"c-{number}"))
        assert next(changes).case_id == f"c-{number}"


def test_what_is_not_for_choice_cannot_be_chosen() -> None:
    mine = reader(security_protocol="SSL", allow_auto_create_topics=False)
    assert mine._consumer.options["security_protocol"] == "SSL"
    assert mine._consumer.options["enable_auto_commit"] is False
    assert mine._consumer.options["bootstrap_servers"] == [
        "broker.example:9092", "other.example:9092",
    ]  # fmt: skip
