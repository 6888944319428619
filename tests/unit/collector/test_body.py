import json
from collections.abc import Sequence

import pytest

from privacy.contract import Problem
from privacy.tracking import problems
from streams.collector.body import (
    MOST_DEPTH,
    MOST_FAULTS,
    MOST_ITEMS,
    read_events,
    require_contract,
)
from streams.collector.refusal import Refusal, Why

EVENT = {"type": "page_view"}
NOW = 1_795_510_000_000


def broken(event: object) -> Sequence[Problem]:
    return problems(event, NOW, 1000)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (EVENT, [EVENT]),
        ([EVENT, EVENT], [EVENT, EVENT]),
        ({"events": [EVENT]}, [EVENT]),
        ({}, [{}]),
        ([5], [5]),  # what an event is, is the contract's business
    ],
)
def test_reads_the_three_shapes(content: object, expected: list[object]) -> None:
    assert read_events(json.dumps(content).encode()) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"type":"page_view"} x',
        b"\xff\xfe",
        b'"\xc3"',
        b'\xef\xbb\xbf{"type":"page_view"}',
        b'{"type":"page_view","type":"click"}',
        b'[{"ad_ids":{"fbp":"a","fbp":"b"}}]',
        b'{"latitude":NaN}',
        b'{"latitude":-Infinity}',
        b"'a'",
        b'{"type":"page\x00view"}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"1" * 60_000,
        b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1),
        b'{"events":[{"ad_ids":[[[[[[{}]]]]]]}]}',
    ],
)
def test_refuses_what_is_not_strict_json(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        read_events(body)
    assert refused.value.why is Why.MALFORMED


@pytest.mark.parametrize(
    "content",
    [
        5,
        "page_view",
        None,
        [],
        {"events": []},
        {"events": {}},
        {"events": [EVENT], "sent_at": 1},
        [EVENT] * (MOST_ITEMS + 1),
    ],
)
def test_refuses_other_shapes_as_a_breach_of_contract(content: object) -> None:
    with pytest.raises(Refusal) as refused:
        read_events(json.dumps(content).encode())
    assert refused.value.why is Why.CONTRACT
    assert [fault.index for fault in refused.value.faults] == [None]


def test_reads_as_many_and_as_deep_as_promised() -> None:
    assert len(read_events(json.dumps([EVENT] * MOST_ITEMS).encode())) == MOST_ITEMS
    assert read_events(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH)


def test_one_bad_event_refuses_all_and_is_named_by_its_place() -> None:
    events = [EVENT, {"type": "error", "status": 99}, EVENT, {}]
    with pytest.raises(Refusal) as refused:
        require_contract(events, broken)
    found = [(fault.index, fault.problem.field) for fault in refused.value.faults]
    assert found == [(1, "status"), (3, "type")]


def test_an_answer_names_a_bounded_number_of_faults() -> None:
    with pytest.raises(Refusal) as refused:
        require_contract([{}] * MOST_ITEMS, broken)
    assert len(refused.value.faults) == MOST_FAULTS
