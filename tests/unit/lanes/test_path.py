from collections.abc import Callable

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME

from privacy.durations import DAY_MS
from privacy.outcome import Reason
from privacy.pseudonym import Salt, visitor_hash
from schemas.codec import decode
from streams.lanes.batch import Result
from streams.lanes.rules import Rules

NOW = 1_795_000_000_000
Run = Callable[..., Result]
Event = Callable[..., bytes]


def test_only_what_statistics_need_is_left(run: Run, event: Event) -> None:
    (value,) = run(event()).values
    result = decode("anonymised_event", value)
    assert int(result.pop("occurred_at").timestamp() * 1000) == NOW - 1_000
    assert result == {
        "event_id": "0b8f7a1c-58ab-4f5b-8a5f-0d3c2d0e9e42",
        "site": "shop.example",
        "type": "page_view",
        "name": "",
        "page": "/tea?utm_source=mail",
        "referrer": "https://search.example",
        "search_terms": "",
        "status": 0,
        "country": "BE",
        "city": "Ghent",
        "browser": "Firefox",
        "browser_version": "140",
        "bot": False,
        "visitor": 42,
    }


@pytest.mark.parametrize(
    ("changes", "reason", "fields"),
    [
        ({"site": "other.example"}, Reason.UNKNOWN_SITE, ("site",)),
        ({"occurred_at": 0}, Reason.ABSURD_TIME, ("occurred_at",)),
        ({"occurred_at": NOW + 3_600_000}, Reason.ABSURD_TIME, ("occurred_at",)),
        ({"received_at": -1}, Reason.ABSURD_TIME, ("received_at",)),
        ({"event_id": "someone@example.com"}, Reason.BAD_EVENT_ID, ("event_id",)),
        ({"status": 99}, Reason.BAD_STATUS, ("status",)),
        ({"status": 600}, Reason.BAD_STATUS, ("status",)),
        ({"ip": "192.0.2.77"}, Reason.FULL_ADDRESS, ("ip",)),
        ({"ip": "2001:db8::77"}, Reason.FULL_ADDRESS, ("ip",)),
        ({"ip": "::ffff:192.0.2.77"}, Reason.FULL_ADDRESS, ("ip",)),
        ({"ad_ids": {"gclid": "x"}}, Reason.ADS_WITHOUT_CONSENT, ("ad_ids", "consent_epoch")),
    ],
)
def test_an_event_against_the_contract_is_refused_alone(
    run: Run, event: Event, changes: dict[str, object], reason: Reason, fields: tuple[str, ...]
) -> None:
    result = run(event(), event(**changes), event())
    assert len(result.values) == 2
    ((source, reject),) = result.rejects
    assert source.offset() == 1
    assert (reject.reason, reject.fields) == (reason, fields)


@pytest.mark.parametrize(
    ("kind", "stored_at", "taken"),
    [
        (TIMESTAMP_LOG_APPEND_TIME, NOW + DAY_MS, True),
        (TIMESTAMP_LOG_APPEND_TIME, NOW, False),  # the sender's clock is ahead, and not ours behind
        (TIMESTAMP_CREATE_TIME, NOW + DAY_MS, False),  # which the sender says itself
    ],
)
def test_what_happened_before_the_broker_had_it_is_not_from_the_future(
    run: Run, event: Event, kind: int, stored_at: int, *, taken: bool
) -> None:
    later = event(occurred_at=NOW + DAY_MS - 1_000, received_at=NOW + DAY_MS)
    result = run(later, stored=(kind, stored_at))
    assert len(result.values) == taken
    assert [each.reason for _, each in result.rejects] == [Reason.ABSURD_TIME] * (not taken)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: None, Reason.NO_VALUE),
        (lambda _: b"", Reason.WRONG_MAGIC),
        (lambda value: b"\x01" + value[1:], Reason.WRONG_MAGIC),
        (lambda value: b"\x00\x00\x00\xff\xff" + value[5:], Reason.UNKNOWN_SCHEMA),
        (lambda value: b"\x00\x00\x00\x00\x02" + value[5:], Reason.UNKNOWN_SCHEMA),
        (lambda value: value[:-3], Reason.MALFORMED),
        (lambda value: value.replace(b"shop", b"\xff\xfe\xff\xff"), Reason.MALFORMED),
        (lambda value: value + b"\x00", Reason.TRAILING_BYTES),
    ],
)
def test_a_message_that_cannot_be_read_is_refused_alone(
    run: Run, event: Event, spoil: Callable[[bytes], bytes | None], reason: Reason
) -> None:
    result = run(event(), spoil(event()), event())
    assert len(result.values) == 2
    ((source, reject),) = result.rejects
    assert (source.offset(), reject.reason, reject.fields) == (1, reason, ())


@pytest.mark.parametrize(
    ("changes", "reason", "field", "left"),
    [
        ({"ip": "not an address"}, Reason.ADDRESS_UNREADABLE, "city", ""),
        ({"page": "javascript:alert(1)"}, Reason.PAGE_UNREADABLE, "page", ""),
        ({"page": "/a\x00b"}, Reason.PAGE_UNREADABLE, "page", ""),
        ({"page": "/" + "a" * 100_000}, Reason.PAGE_UNREADABLE, "page", ""),
        ({"referrer": "file:///home"}, Reason.REFERRER_UNREADABLE, "referrer", ""),
        ({"name": "jo@example.com"}, Reason.NAME_REFUSED, "name", ""),
        (
            {"latitude": 51.0, "longitude": 4.0},
            Reason.COORDINATES_WITHOUT_CONSENT,
            "city",
            "Ghent",
        ),
        (
            {"latitude": float("nan"), "longitude": 4.0, "location_consent": True},
            Reason.COORDINATES_UNPLACED,
            "city",
            "Ghent",
        ),
        (
            {"site": "www.example", "search_terms": "jo@example.com"},
            Reason.TERMS_REFUSED,
            "search_terms",
            "",
        ),
    ],
)
def test_a_value_that_may_not_stay_is_left_out_and_counted(
    run: Run, event: Event, changes: dict[str, object], reason: Reason, field: str, left: str
) -> None:
    result = run(event(), event(**changes))
    assert result.rejects == []
    assert result.remarks == {reason: 1}
    assert decode("anonymised_event", result.values[1])[field] == left


def test_consented_coordinates_win_over_the_address(run: Run, event: Event) -> None:
    located = {"latitude": 51.1, "longitude": 3.9, "location_consent": True}
    (value,) = run(event(ip="2001:db8::", **located)).values
    assert decode("anonymised_event", value)["city"] == "Ghent"


def test_search_terms_stay_only_where_the_site_opted_in(run: Run, event: Event) -> None:
    values = run(
        event(search_terms="Green Tea"), event(site="www.example", search_terms="Green Tea")
    ).values
    kept = [decode("anonymised_event", value)["search_terms"] for value in values]
    assert kept == ["", "green tea"]


def test_each_site_keeps_its_own_query_parameters(run: Run, event: Event) -> None:
    page = "/find?q=tea&utm_source=mail"
    values = run(event(page=page), event(site="www.example", page=page), event(page=None)).values
    kept = [decode("anonymised_event", value)["page"] for value in values]
    assert kept == ["/find?utm_source=mail", "/find?q=tea", ""]


def test_an_event_without_an_id_gets_one_of_where_it_lies(run: Run, event: Event) -> None:
    first, second = (
        [decode("anonymised_event", value)["event_id"] for value in result.values]
        for result in (run(event(event_id=""), event(event_id="")) for _ in range(2))
    )
    assert first == second, "a replay gives the same ids"
    assert len(set(first)) == 2


@pytest.mark.parametrize("raw", [False, True])
def test_a_visitor_without_a_hash_gets_the_one_the_entrance_would_make(
    run: Run, event: Event, raw: bool
) -> None:
    (value,) = run(event(visitor=None), raw=raw).values
    day = (NOW - 1_000) // 86_400_000
    expected = visitor_hash(Salt(b"0" * 32), "shop.example", day, "c-1", None, None)
    assert decode("anonymised_event", value)["visitor"] == expected


def test_the_salt_is_of_the_day_by_the_clock_of_the_broker(
    run: Run, rules: Rules, event: Event
) -> None:
    asked = []

    def salt(at: int) -> Salt:
        asked.append(at)
        return Salt(b"0" * 32)

    rules.salt = salt
    run(event(visitor=None), stored=(TIMESTAMP_LOG_APPEND_TIME, NOW - DAY_MS))
    assert asked == [NOW - DAY_MS]


def test_a_full_address_on_the_raw_topic_is_hashed_then_shortened_then_located(
    run: Run, event: Event
) -> None:
    changes = {"visitor": None, "cookie_id": None, "user_agent": None}
    values = run(event(ip="192.0.2.77", **changes), event(ip="192.0.2.78", **changes), raw=True)
    first, second = (decode("anonymised_event", value) for value in values.values)
    assert first["city"] == second["city"] == "Ghent"
    assert first["visitor"] != second["visitor"]


def test_the_output_holds_no_identifier(run: Run, event: Event) -> None:
    (value,) = run(
        event(
            ip="192.0.2.77", latitude=51.25, longitude=4.5, location_consent=True,
            consent_epoch=1, ad_ids={"gclid": "click-1"},
        ),
        raw=True,
    ).values  # fmt: skip
    for secret in (b"192.0.2", b"c-1", b"s-1", b"d-1", b"click-1", b"Mozilla", b"session=9"):
        assert secret not in value


def test_every_spelling_in_one_batch_is_located_at_its_own_place(run: Run, event: Event) -> None:
    """Plain IPv4 networks take a short cut of their own, past the others."""
    ips = ["192.0.2.0", "2001:db8::", None, "198.51.100.0", "192.0.2.0", "nonsense", "192.0.2.00"]
    result = run(*(event(ip=each) for each in ips), event(ip="192.0.2.7"))
    cities = [decode("anonymised_event", value)["city"] for value in result.values]
    assert cities == ["Ghent", "Delft", "", "", "Ghent", "", ""]
    assert result.remarks[Reason.ADDRESS_UNREADABLE] == 2
    assert [(each.offset(), reject.reason) for each, reject in result.rejects] == [
        (7, Reason.FULL_ADDRESS)
    ]
