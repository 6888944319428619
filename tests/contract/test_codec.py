"""The row codec gives back what it was given, and refuses other bytes in one way only."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import HEADER, WireError, WireFault, decode, encode, header
from schemas.registry import latest, records

Values = Callable[[str], st.SearchStrategy[dict[str, Any]]]

RECORDS = sorted({record.name for record in records().values()})


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_encoded_is_decoded(values: Values, name: str, data: st.DataObject) -> None:
    value = data.draw(values(name))
    assert decode(name, encode(name, value)) == value


@settings(max_examples=200)
@given(data=st.data())
def test_a_message_cut_short_or_with_bytes_left_over_is_refused(
    values: Values, data: st.DataObject
) -> None:
    message = encode("tracking_event", data.draw(values("tracking_event")))
    with pytest.raises(WireError):
        decode("tracking_event", message[: data.draw(st.integers(0, len(message) - 1))])
    with pytest.raises(WireError, match="trailing_bytes"):
        decode("tracking_event", message + data.draw(st.binary(min_size=1, max_size=8)))


@settings(max_examples=700)
@given(
    body=st.binary(max_size=200),
    framed=st.booleans(),
    name=st.sampled_from(["tracking_event", "anonymised_event"]),
)
def test_no_bytes_raise_anything_else(*, body: bytes, framed: bool, name: str) -> None:
    with suppress(WireError):
        assert isinstance(decode(name, header(latest(name)) + body if framed else body), dict)


@settings(max_examples=500)
@given(data=st.data())
def test_no_flipped_bit_raises_anything_else(values: Values, data: st.DataObject) -> None:
    message = bytearray(encode("tracking_event", data.draw(values("tracking_event"))))
    at = data.draw(st.integers(0, len(message) - 1))
    message[at] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(WireError):
        assert isinstance(decode("tracking_event", bytes(message)), dict)


VALID = encode("dead_letter", {
    "id": "t:0:1", "at": 0, "topic": "t", "partition": 0, "offset": 1, "processor": "p",
    "version": "1", "step": "s", "reason": "r", "fields": [],
})  # fmt: skip


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (None, WireFault.NO_VALUE),
        (b"", WireFault.WRONG_MAGIC),
        (b"\x00\x00\x00", WireFault.WRONG_MAGIC),
        (b"\x01" + VALID[1:], WireFault.WRONG_MAGIC),
        (b"{}      ", WireFault.WRONG_MAGIC),
        (b"\x00\xff\xff\xff\xff" + VALID[HEADER:], WireFault.UNKNOWN_SCHEMA),
        (b"\x00\x00\x00\x00\x00" + VALID[HEADER:], WireFault.UNKNOWN_SCHEMA),
        (header(latest("tracking_event")) + VALID[HEADER:], WireFault.UNKNOWN_SCHEMA),
        (VALID[:HEADER], WireFault.MALFORMED),
        (VALID[:-1], WireFault.MALFORMED),
        (VALID[:HEADER] + b"\x04\xff\xff" + VALID[HEADER + 6 :], WireFault.MALFORMED),
        (VALID[:HEADER] + b"\xff" * 11, WireFault.MALFORMED),  # no varint is that long
        (VALID[:HEADER] + b"\xfe\xff\xff\xff\xff\x0f", WireFault.MALFORMED),  # a huge string
        (VALID + b"\x00", WireFault.TRAILING_BYTES),
    ],
)
def test_each_fault_has_its_name(message: bytes | None, fault: WireFault) -> None:
    with pytest.raises(WireError) as refused:
        decode("dead_letter", message)
    assert refused.value.fault is fault
    assert str(refused.value) == fault.value


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"site": 5}, "site"),
        ({"site": None}, "site"),
        ({"type": "login"}, "type"),
        ({"page": "\ud800 jane"}, "page"),
        ({"status": 2**31}, "status"),
        ({"visitor": 2**63}, "visitor"),
        ({"ad_ids": {"gclid": 5}}, "ad_ids"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_field(
    change: dict[str, Any], field: str
) -> None:
    value = {
        "event_id": "i", "occurred_at": 0, "received_at": 0, "site": "s", "type": "click",
    }  # fmt: skip
    with pytest.raises(ValueError, match=rf"^tracking_event: {field} does not fit$"):
        encode("tracking_event", value | change)


def test_an_unknown_field_is_refused_not_dropped() -> None:
    with pytest.raises(ValueError, match="tracking_event has no field user_id"):
        encode("tracking_event", {"user_id": "jane"})
