"""Values of a record, made up from its Avro schema."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st

from schemas.registry import latest

Values = Callable[[str], st.SearchStrategy[dict[str, Any]]]

_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=40),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
}


@pytest.fixture(scope="session")
def values() -> Values:
    """Return a function from a record's name to the values it can hold, as ``decode`` gives them.

    Times are whole milliseconds of the years in use.
    """
    return lambda name: _of(latest(name).parsed)


def _of(schema: Any) -> st.SearchStrategy[Any]:
    if isinstance(schema, list):
        return st.one_of(*map(_of, schema))
    schema = {"type": schema} if isinstance(schema, str) else schema
    if schema.get("logicalType") == "timestamp-millis":
        return st.integers(0, 4_102_444_800_000).map(_moment)
    kind = schema["type"]
    return _COMPLEX[kind](schema) if kind in _COMPLEX else _PRIMITIVES[kind]


_COMPLEX: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "record": lambda schema: st.fixed_dictionaries(
        {field["name"]: _of(field["type"]) for field in schema["fields"]}
    ),
    "enum": lambda schema: st.sampled_from(schema["symbols"]),
    "array": lambda schema: st.lists(_of(schema["items"]), max_size=3),
    "map": lambda schema: st.dictionaries(_of("string"), _of(schema["values"]), max_size=3),
}


def _moment(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
