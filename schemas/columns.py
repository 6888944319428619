"""The columnar codec: a batch of messages to and from an Arrow record batch.

About fifteen times as fast as ``schemas.codec``, which stays the reference: whatever this module
cannot read goes through the row codec, whose verdict counts, and a property test holds the two
equal. The one user of pyruhvro, which is young.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyruhvro

from schemas.codec import HEADER, WireError, WireFault, decode, header
from schemas.registry import Record, latest

# Bytes after a record's end are its sender's fault, and pyruhvro does not notice them. So each
# body gets eight bytes nobody can guess, read back as one more field: anything left over shifts
# them, and the field no longer matches.
_SEAL = secrets.token_bytes(8)
_SEAL_FIELD = "seal"

# Below this many rows a refused batch is read row by row instead of being halved again.
_ROW_BY_ROW = 32

# What Python's datetime, and so the row codec, can hold: years 1 to 9999, in milliseconds.
_TIMES = (-62_135_596_800_000, 253_402_300_799_999)
_INTS = (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a batch of n messages.

    ``rows`` is a record batch of those that could be read, ``index`` their places among the n
    (int64, ascending), ``faults`` the places and faults of the others.
    """

    rows: pa.RecordBatch
    index: np.ndarray
    faults: list[tuple[int, WireFault]]


def decode_batch(name: str, values: Sequence[bytes | None]) -> Decoded:
    """Read framed values as record ``name``. Never raises for what is in them."""
    start = header(latest(name))
    seal = _SEAL
    bodies = [value[HEADER:] + seal for value in values if value and value.startswith(start)]
    if len(bodies) == len(values):
        return _merge(name, _decode(name, values, bodies, np.arange(len(values))))
    ours = np.array([value is not None and value.startswith(start) for value in values], bool)
    parts = _decode(name, values, bodies, np.flatnonzero(ours))
    return _merge(name, [*parts, _row_by_row(name, values, np.flatnonzero(~ours))])


def encode_batch(name: str, rows: pa.RecordBatch) -> list[bytes]:
    """Frame each row of ``rows``, whose columns are those of record ``name``, in its order."""
    record = latest(name)
    start = header(record)
    if not rows.num_rows:
        return []
    (bodies,) = pyruhvro.serialize_record_batch(rows, record.text, 1)
    return [start + body for body in bodies.to_pylist()]


@cache
def arrow_schema(name: str) -> pa.Schema:
    """Return the Arrow schema of the newest version of record ``name``."""
    return pyruhvro.avro_to_arrow_schema(latest(name).text)


@cache
def _sealed(record: Record) -> str:
    """Return the schema to read by; an ``int`` is a ``long`` there, which looks the same.

    pyruhvro cuts off what an ``int`` has no room for, and makes another number of it.
    """
    content = json.loads(record.text)
    for each in content["fields"]:
        if each["type"] == "int":
            each["type"] = "long"
        elif isinstance(each["type"], list):
            each["type"] = ["long" if kind == "int" else kind for kind in each["type"]]
    content["fields"].append({"name": _SEAL_FIELD, "type": "double"})
    return json.dumps(content)


def _decode(
    name: str, values: Sequence[bytes | None], bodies: list[bytes], index: np.ndarray
) -> list[Decoded]:
    """Read sealed bodies, whose values are at ``index``; halve them where one spoils the batch."""
    if not bodies:
        return []
    try:
        rows = pyruhvro.deserialize_array(bodies, _sealed(latest(name)))
        rows.validate(full=True)  # pyruhvro takes any bytes for text
    except (ValueError, pa.ArrowInvalid):
        if len(index) <= _ROW_BY_ROW:
            return [_row_by_row(name, values, index)]
        middle = len(index) // 2
        return [
            part
            for half in (slice(middle), slice(middle, None))
            for part in _decode(name, values, bodies[half], index[half])
        ]
    schema = arrow_schema(name)
    good = _intact(rows, schema)
    rows = rows.drop_columns(_SEAL_FIELD)
    if good.all():
        return [Decoded(rows.cast(schema), index, [])]
    return [
        Decoded(rows.filter(pa.array(good)).cast(schema), index[good], []),
        _row_by_row(name, values, index[~good]),
    ]


def _intact(rows: pa.RecordBatch, schema: pa.Schema) -> np.ndarray:
    """Tell which rows end where they should and hold no time or number out of bounds."""
    good: np.ndarray = (
        rows[_SEAL_FIELD].to_numpy().view(np.int64) == np.frombuffer(_SEAL, np.int64)[0]
    )
    for column, field in zip(rows.columns, rows.schema, strict=True):
        if pa.types.is_timestamp(field.type):
            times = column.cast(pa.int64()).to_numpy()
            good &= (times >= _TIMES[0]) & (times <= _TIMES[1])
        elif pa.types.is_int64(field.type) and schema.field(field.name).type == pa.int32():
            numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
            good &= (numbers >= _INTS[0]) & (numbers <= _INTS[1])
    return good


def _row_by_row(name: str, values: Sequence[bytes | None], index: np.ndarray) -> Decoded:
    found: list[tuple[int, dict[str, Any]]] = []
    faults = []
    for i in index.tolist():
        try:
            found.append((i, decode(name, values[i])))
        except WireError as error:
            faults.append((i, error.fault))
    rows = pa.RecordBatch.from_pylist([row for _, row in found], schema=arrow_schema(name))
    return Decoded(rows, np.array([i for i, _ in found], dtype=np.int64), faults)


def _merge(name: str, parts: list[Decoded]) -> Decoded:
    if len(parts) == 1:
        return parts[0]
    table = pa.Table.from_batches([part.rows for part in parts], schema=arrow_schema(name))
    index = np.concatenate([np.empty(0, np.int64), *(part.index for part in parts)])
    order = np.argsort(index)
    batches = table.take(pa.array(order)).combine_chunks().to_batches()
    rows = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=arrow_schema(name))
    return Decoded(rows, index[order], sorted(fault for part in parts for fault in part.faults))
