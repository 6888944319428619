"""The columnar codec agrees with the row codec, whatever the bytes."""

from datetime import datetime
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import WireError, decode, encode
from schemas.columns import arrow_schema, decode_batch, encode_batch
from schemas.registry import latest

TEXT = st.text(max_size=20)
TIMES = st.integers(0, 4_000_000_000_000)
LONGS = st.integers(-(2**63), 2**63 - 1)
TYPES = st.sampled_from(["page_view", "search", "click", "error", "custom"])
DEGREES = st.floats(allow_nan=False, allow_infinity=False)
EVENTS = st.fixed_dictionaries(
    {
        "event_id": TEXT,
        "occurred_at": TIMES,
        "received_at": TIMES,
        "site": TEXT,
        "type": TYPES,
        "page": st.none() | TEXT,
        "status": st.none() | st.integers(-(2**31), 2**31 - 1),
        "latitude": st.none() | DEGREES,
        "location_consent": st.booleans(),
        "visitor": st.none() | LONGS,
        "ad_ids": st.none() | st.fixed_dictionaries({}, optional={"gclid": st.none() | TEXT}),
    }
)
# What happens to bytes on a bad day: cut, changed, doubled, foreign, nothing.
SPOIL = st.one_of(
    st.tuples(st.just("keep"), st.just(0), st.just(b"")),
    st.tuples(
        st.sampled_from(["cut", "insert", "replace"]), st.integers(0, 400), st.binary(max_size=6)
    ),
    st.tuples(st.just("foreign"), st.just(0), st.binary(max_size=40)),
    st.tuples(st.just("none"), st.just(0), st.just(b"")),
)  # fmt: skip


def spoiled(value: bytes, how: tuple[str, int, bytes]) -> bytes | None:
    kind, at, junk = how
    match kind:
        case "cut":
            return value[:at]
        case "insert":
            return value[:at] + junk + value[at:]
        case "replace":
            return value[:at] + junk + value[at + len(junk) :]
        case "foreign":
            return junk
        case "none":
            return None
    return value


def plain(row: dict[str, Any]) -> str:
    """Compare by repr: NaN equals NaN, -0.0 is not 0.0, and clocks lose their zone."""
    return repr(
        {k: v.replace(tzinfo=None) if isinstance(v, datetime) else v for k, v in row.items()}
    )


def one_by_one(value: bytes | None) -> tuple[str | None, str | None]:
    """Return what the row codec makes of a value: the row, or the fault."""
    try:
        return plain(decode("tracking_event", value)), None
    except WireError as error:
        return None, error.fault


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(EVENTS, SPOIL), min_size=1, max_size=60))
def test_a_batch_decodes_as_its_messages_do_one_by_one(
    messages: list[tuple[dict[str, Any], tuple[str, int, bytes]]],
) -> None:
    values = [spoiled(encode("tracking_event", event), how) for event, how in messages]
    batch = decode_batch("tracking_event", values)
    rows = dict(zip(batch.index.tolist(), map(plain, batch.rows.to_pylist()), strict=True))
    faults = dict(batch.faults)
    for i, value in enumerate(values):
        assert (rows.get(i), faults.get(i)) == one_by_one(value)


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_a_batch_encodes_as_its_rows_do_one_by_one(events: list[dict[str, Any]]) -> None:
    full = [dict.fromkeys(latest("tracking_event").fields) | event for event in events]
    for event in full:
        if event["ad_ids"] is not None:
            event["ad_ids"].setdefault("gclid", None)
    schema = arrow_schema("tracking_event")
    rows = pa.RecordBatch.from_pylist(full, schema=schema)
    assert encode_batch("tracking_event", rows) == [encode("tracking_event", e) for e in full]


def test_bytes_that_imitate_the_end_of_a_record_are_noticed() -> None:
    """A sender who knows the trick cannot know the seal: eight more bytes are trailing bytes."""
    event = {"event_id": "", "occurred_at": 0, "received_at": 0, "site": "", "type": "click"}
    value = encode("tracking_event", event) + b"\x00" * 8
    assert [fault.value for _, fault in decode_batch("tracking_event", [value]).faults] == [
        "trailing_bytes"
    ]
