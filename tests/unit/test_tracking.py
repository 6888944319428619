from typing import Any

import pytest

from privacy.pseudonym import UNKNOWN, Salt, visitor_hash
from privacy.rules import milliseconds
from privacy.tracking import (
    AHEAD_MS,
    CONTRACT,
    DAY_MS,
    EARLIEST_MS,
    FIELDS,
    enter,
    key,
    problems,
)
from schemas.codec import encode
from schemas.registry import latest

NOW = 1_795_510_000_000  # 2026-11-24T08:46:40Z
MAX_AGE = 48 * 3_600_000
SALT = Salt(b"s" * 32)
ID = "5f0c2d0e-9b1d-4c4e-8d53-0f1d3a1f7a11"
FULL: dict[str, Any] = {
    "type": "error",
    "event_id": ID,
    "occurred_at": NOW - 1000,
    "name": "checkout",
    "page": "https://shop.example/tea?q=1#top",
    "referrer": "https://search.example/?q=tea",
    "search_terms": "thé vert",
    "status": 404,
    "cookie_id": "c-1",
    "session_id": "s-1",
    "device_id": "d:1",
    "user_agent": "Mozilla/5.0 (Example)",
    "ip": "192.0.2.77",
    "latitude": 51.05,
    "longitude": 3,
    "location_consent": True,
    "consent_epoch": 3,
    "ad_ids": {"fbp": "fb.1.1.1"},
}


def entered(event: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Enter it with a connection that knows nothing unless told."""
    nothing = {"site": "shop.example", "address": None, "user_agent": None, "salt": SALT}
    return enter(event, **{**nothing, "received_at": NOW, "event_id": "made-here", **given})


def test_every_field_may_be_there_and_all_but_the_type_be_null() -> None:
    assert FULL.keys() == FIELDS.keys()
    assert not problems(FULL, NOW, MAX_AGE)
    assert not problems({**dict.fromkeys(FIELDS), "type": "custom"}, NOW, MAX_AGE)
    assert not problems({"type": "page_view"}, NOW, MAX_AGE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("type", value) for value in (None, "", "PAGE_VIEW", 1, ["click"], {})),
        *(("event_id", value) for value in ("", "x", ID.upper(), ID + "\n", f"{{{ID}}}", 7)),
        *(("occurred_at", value) for value in (True, 1.5, "", "2026-11-24", "2026-11-24T08:00:00")),
        *(("occurred_at", value) for value in (-1, 0, 2**53, 10**30, NOW + AHEAD_MS + 1)),
        ("occurred_at", "2026-11-24T08:00:00+24:00"),
        ("occurred_at", "2026-02-30T08:00:00Z"),
        ("occurred_at", "٢٠٢٦-11-24T08:00:00Z"),
        ("occurred_at", "9999-12-31T23:59:59-23:59"),
        ("occurred_at", NOW - MAX_AGE - 1),
        *((name, 5) for name in ("name", "page", "referrer", "search_terms", "user_agent", "ip")),
        *((name, "a\0") for name in ("name", "page", "referrer", "search_terms", "user_agent")),
        *((name, "a\ud800") for name in ("name", "page", "search_terms", "user_agent", "ip")),
        ("name", "a" * 65),
        ("page", "a" * 2049),
        ("search_terms", "a" * 257),
        ("page", "a" * 1_000_000),
        *(("status", value) for value in (99, 600, "404", 404.0, True)),
        *(("cookie_id", value) for value in ("", "a b", "é", "a\n", "a" * 129, "a@shop.example")),
        *(("latitude", value) for value in (90.01, -91, float("nan"), float("inf"), "51", True)),
        *(("longitude", value) for value in (180.01, 10**400)),
        *(("location_consent", value) for value in (1, "true", [])),
        *(("consent_epoch", value) for value in (0, -1, 2**53 + 1, 1.0, True)),
        *(("ad_ids", value) for value in ([], "x", {"fbp": None}, {"fbp": ""}, {"x": "y"})),
        *(("ad_ids", value) for value in ({"fbp": "é"}, {"fbp": "a" * 513}, {"fbp": {}})),
    ],
)
def test_a_value_that_breaks_its_rule_is_named_by_field(field: str, value: object) -> None:
    found = problems({**FULL, field: value}, NOW, MAX_AGE)
    assert [problem.field for problem in found] == [field] * len(found)
    assert found


@pytest.mark.parametrize(
    "name",
    [
        *("user_id", "userId", "USERID", "user", "username", "login", "account_id"),
        *("customerId", "member_id", "email", "e_mail", "mail"),
    ],
)
def test_a_user_s_identity_is_refused_by_name(name: str) -> None:
    (problem,) = problems({**FULL, name: "someone"}, NOW)
    assert (problem.field, problem.rule) == (name, "is refused: tracking is never linked to a user")


@pytest.mark.parametrize("name", ["properties", "Type", "ip_address"])
def test_an_unknown_field_is_refused_and_the_known_ones_listed(name: str) -> None:
    (problem,) = problems({**FULL, name: 1}, NOW)
    assert problem.field == name
    assert "page, referrer" in problem.rule


@pytest.mark.parametrize("name", ["", "an@mail.example", "x" * 33, "a b", "\ud800", "é", "1a"])
def test_a_field_name_that_could_hold_data_is_not_repeated(name: str) -> None:
    (problem,) = problems({**FULL, name: 1}, NOW)
    assert problem.field == "(a field)"
    assert not name or name not in problem.rule


def test_provider_ids_need_the_epoch_of_a_consent() -> None:
    (problem,) = problems({**FULL, "consent_epoch": None}, NOW)
    assert problem.field == "ad_ids"
    assert not problems({**FULL, "consent_epoch": None, "ad_ids": None}, NOW)


def test_a_log_s_events_may_be_old_but_not_absurd() -> None:
    assert not problems({"type": "page_view", "occurred_at": EARLIEST_MS}, NOW)
    assert problems({"type": "page_view", "occurred_at": EARLIEST_MS - 1}, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T08:46:40Z", NOW),
        ("2026-11-24T08:46:40.5Z", NOW + 500),
        ("2026-11-24T08:46:40.001999999Z", NOW + 1),
        ("2026-11-24T10:46:40+02:00", NOW),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_a_time_is_read_to_the_millisecond(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


def test_a_record_is_what_the_contract_wants() -> None:
    record = entered(FULL)
    assert record.keys() == set(latest("tracking_event").fields)
    assert encode("tracking_event", record)
    assert encode("tracking_event", entered({"type": "page_view"}))


def test_the_event_s_own_values_win_over_the_connection_s() -> None:
    connection = {"address": "198.51.100.1", "user_agent": "curl", "event_id": "made-here"}
    record = entered(FULL, **connection)
    assert (record["ip"], record["event_id"]) == ("192.0.2.0", ID)
    assert record["user_agent"] == "Mozilla/5.0 (Example)"
    record = entered({"type": "click"}, **connection)
    assert (record["ip"], record["event_id"]) == ("198.51.100.0", "made-here")
    assert (record["user_agent"], record["occurred_at"]) == ("curl", NOW)


@pytest.mark.parametrize("consent", [False, None])
def test_coordinates_without_consent_do_not_enter(consent: bool | None) -> None:
    record = entered({**FULL, "location_consent": consent})
    assert (record["latitude"], record["longitude"]) == (None, None)
    assert record["location_consent"] is False


@pytest.mark.parametrize(
    ("agent", "kept"),
    [("", None), ("a\tb", None), ("\udcff", None), ("a" * 1025, "a" * 1024), ("é", "é")],
)
def test_a_connection_s_user_agent_is_cut_or_left_out(agent: str, kept: str | None) -> None:
    record = entered({"type": "click"}, user_agent=agent)
    assert record["user_agent"] == kept
    assert encode("tracking_event", record)


def test_the_visitor_is_hashed_from_the_full_address_before_it_is_shortened() -> None:
    same = {"user_agent": "curl"}
    first, second = (
        entered({"type": "click"}, address=address, **same)
        for address in ("192.0.2.1", "192.0.2.2")
    )
    assert first["ip"] == second["ip"] == "192.0.2.0"
    assert first["visitor"] != second["visitor"]
    assert first["visitor"] == visitor_hash(
        SALT, "shop.example", NOW // DAY_MS, None, "curl", "192.0.2.1"
    )


def test_without_a_salt_or_anything_to_go_by_there_is_no_hash() -> None:
    assert entered(FULL, salt=None)["visitor"] is None
    assert entered({"type": "click"})["visitor"] == UNKNOWN


def test_the_key_keeps_one_visitor_in_order() -> None:
    assert key(entered(FULL)) == b"shop.example|c-1"
    assert key(entered({"type": "click"})) is None


def test_the_schema_describes_every_field() -> None:
    schema = CONTRACT.schema()
    assert schema["properties"].keys() == FIELDS.keys()
    assert not schema["additionalProperties"]
    assert all(each["description"] for each in schema["properties"].values())
