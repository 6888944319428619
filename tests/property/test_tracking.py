"""Whatever an event holds: judged without an exception, and let in without an address."""

import json
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from privacy.pseudonym import Salt
from privacy.tracking import AD_IDS, CONTRACT, EARLIEST_MS, FIELDS, TYPES, enter, problems
from schemas.codec import decode, encode

NOW = 1_795_510_000_000
SALT = Salt(b"s" * 32)
SCHEMA = Draft202012Validator(CONTRACT.schema())

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=6,
)
text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=64)
identifier = st.text("abcXYZ019._:-", min_size=1, max_size=128)
addresses = st.ip_addresses() | st.ip_addresses(network="192.0.2.0/24")
good: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.uuids().map(str),
    "occurred_at": st.integers(EARLIEST_MS, NOW),
    **dict.fromkeys(("name", "page", "referrer", "search_terms", "user_agent"), text),
    "status": st.integers(100, 599),
    **dict.fromkeys(("cookie_id", "session_id", "device_id"), identifier),
    "ip": addresses.map(str) | text,
    "latitude": st.floats(-90, 90),
    "longitude": st.integers(-180, 180),
    "location_consent": st.booleans(),
    "consent_epoch": st.integers(1, 2**53),
    "ad_ids": st.dictionaries(st.sampled_from(AD_IDS), st.just("a.1")),
}
events = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES)},
    optional={name: st.none() | value for name, value in good.items()},
).filter(lambda event: not event.get("ad_ids") or event.get("consent_epoch"))
maybe_events = st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(), anything) | events


@given(anything | maybe_events)
def test_every_value_is_judged_and_none_repeated(event: object) -> None:
    for problem in problems(event, NOW, 10**9):
        assert problem.field in {*FIELDS, "event", "(a field)"} or problem.field in event  # type: ignore[operator]
        assert problem.rule


@settings(max_examples=300)
@given(events)
def test_what_fits_the_rules_can_be_published_and_read_back(event: dict[str, Any]) -> None:
    assert not problems(event, NOW)
    record = enter(
        event,
        site="shop.example",
        address="198.51.100.7",
        user_agent="curl",
        received_at=NOW,
        event_id="00000000-0000-4000-8000-000000000000",
        salt=SALT,
    )
    assert decode("tracking_event", encode("tracking_event", record))["site"] == "shop.example"


@settings(max_examples=300)
@given(addresses, st.booleans())
def test_only_the_network_of_an_address_enters(
    address: IPv4Address | IPv6Address, own: bool
) -> None:
    """/24 of an IPv4 address, /48 of an IPv6 one, whether the event or the connection has it."""
    record = enter(
        {"type": "click", "ip": str(address) if own else None},
        site="shop.example",
        address=None if own else str(address),
        user_agent=None,
        received_at=NOW,
        event_id="00000000-0000-4000-8000-000000000000",
        salt=SALT,
    )
    if record["ip"] is not None:
        entered = ip_address(record["ip"])
        assert int(entered) % 2 ** (8 if entered.version == 4 else 80) == 0


@settings(max_examples=300)
@given(maybe_events)
def test_the_published_schema_refuses_nothing_that_the_rules_let_in(event: dict[str, Any]) -> None:
    """The schema is looser only in what it cannot say: now, and consent."""
    if not problems(event, NOW):
        SCHEMA.validate(json.loads(json.dumps(event)))
