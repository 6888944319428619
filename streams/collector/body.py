"""From a request's bytes to its events or consent changes: strict JSON, and one of three shapes.

An item, an array of items, or ``{"events": [...]}`` (``{"changes": [...]}``). JSON that two
readers could read in two ways (duplicate names, NaN, broken UTF-8) is refused.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from privacy.contract import Problem
from streams.collector.refusal import Fault, Refusal, Why

MOST_ITEMS = 500
MOST_FAULTS = 100  # named in one answer
MOST_DEPTH = 8


def read_events(body: bytes) -> list[Any]:
    """Return the events in ``body``, unchecked. Raise Refusal when it holds none that way."""
    return read_items(body, "events")


def read_items(body: bytes, name: str) -> list[Any]:
    """Return the items in ``body``, which an object may hold under ``name``, unchecked.

    Raises Refusal when it holds none that way.
    """
    content = read_json(body)
    if isinstance(content, dict) and name in content:
        if len(content) > 1:
            raise _unfit(name, "must be the only field of the object")
        content = content[name]
    elif isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise _unfit(name, "must be an array; or send one object")
    if not 1 <= len(content) <= MOST_ITEMS:
        raise _unfit(name, f"must be from 1 to {MOST_ITEMS}")
    return content


def read_json(body: bytes) -> Any:
    """Return what ``body`` holds, unchecked. Raise Refusal when it is not the JSON we take."""
    content = _parse(body)
    if _depth_exceeds(content, MOST_DEPTH):
        raise Refusal(Why.MALFORMED, rule=f"the JSON is nested deeper than {MOST_DEPTH}")
    return content


def require_contract(items: Sequence[Any], problems: Callable[[Any], Iterable[Problem]]) -> None:
    """Raise Refusal naming the fields and rules when any item has ``problems``.

    All or nothing: a request with one bad item is refused whole, so that what a client sends
    again is what it sent.
    """
    faults = list(islice(_faults(items, problems), MOST_FAULTS))
    if faults:
        raise Refusal(Why.CONTRACT, faults=faults)


def _faults(items: Sequence[Any], problems: Callable[[Any], Iterable[Problem]]) -> Iterator[Fault]:
    for index, item in enumerate(items):
        for problem in problems(item):
            yield Fault(index, problem)


def _unfit(field: str, rule: str) -> Refusal:
    return Refusal(Why.CONTRACT, faults=[Fault(None, Problem(field, rule))])


def _parse(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise Refusal(Why.MALFORMED, rule="the body is not UTF-8") from None
    except _AmbiguousError as error:
        raise Refusal(Why.MALFORMED, rule=error.args[0]) from None
    except (ValueError, RecursionError):  # ValueError also for integers of thousands of digits
        raise Refusal(Why.MALFORMED, rule="the body is not JSON") from None


class _AmbiguousError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _AmbiguousError("the JSON names a field twice")
    return content


def _refuse_constant(_: str) -> None:
    raise _AmbiguousError("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _depth_exceeds(value: Any, most: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return most == 0 or any(_depth_exceeds(each, most - 1) for each in inside)
