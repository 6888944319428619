"""The row codec: one message, one dict. Works wherever fastavro does, also in the SDK.

On the wire a value is ``0x00``, the record's number (4 bytes, big-endian) and the Avro body:
what Confluent's tools read. ``schemas.columns`` does the same for whole batches and must agree
with this module, which is the reference.
"""

import io
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from schemas.registry import Record, latest, records

MAGIC = b"\x00"
HEADER = 5


class WireFault(StrEnum):
    """Why bytes are no message of ours."""

    NO_VALUE = "no_value"
    WRONG_MAGIC = "wrong_magic"
    UNKNOWN_SCHEMA = "unknown_schema"
    MALFORMED = "malformed"
    TRAILING_BYTES = "trailing_bytes"


class WireError(ValueError):
    """Raised by ``decode``. Carries the fault alone: never a byte of the message."""

    def __init__(self, fault: WireFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


def header(record: Record) -> bytes:
    """Return the five bytes before each value of this record version."""
    return MAGIC + record.id.to_bytes(4, "big")


def encode(name: str, value: Mapping[str, Any]) -> bytes:
    """Frame ``value`` as the newest version of record ``name``.

    Raises ValueError naming the field when a value does not fit the schema; unknown fields are
    refused too, so that nothing is dropped in silence.
    """
    record = latest(name)
    unknown = value.keys() - record.fields
    if unknown:
        raise ValueError(f"{name} has no field {', '.join(sorted(unknown))}")
    out = io.BytesIO()
    out.write(header(record))
    try:
        schemaless_writer(out, record.parsed, value, strict_allow_default=True)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise ValueError(
            f"{name}: {', '.join(misfits(record, value)) or 'a field'} does not fit"
        ) from None
    return out.getvalue()


def misfits(record: Record, value: Mapping[str, Any]) -> list[str]:
    """Name the fields of ``value`` that the schema refuses."""
    return [field["name"] for field in record.parsed["fields"] if not _fits(field, value)]


def _fits(field: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    if field["name"] not in value:
        return "default" in field
    try:
        schemaless_writer(io.BytesIO(), field["type"], value[field["name"]])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return False
    return True


def record_of(value: bytes | None) -> Record:
    """Return the record version a value claims to be; raise WireError when it claims none."""
    if value is None:
        raise WireError(WireFault.NO_VALUE)
    if len(value) < HEADER or value[:1] != MAGIC:
        raise WireError(WireFault.WRONG_MAGIC)
    record = records().get(int.from_bytes(value[1:HEADER], "big"))
    if record is None:
        raise WireError(WireFault.UNKNOWN_SCHEMA)
    return record


def decode(name: str, value: bytes | None) -> dict[str, Any]:
    """Read one framed value as the newest version of record ``name``.

    Raises WireError, whatever the bytes are: wrong magic, a schema that is unknown or another
    record's, a body that does not parse, or bytes left over.
    """
    writer = record_of(value)
    if writer.name != name or value is None:
        raise WireError(WireFault.UNKNOWN_SCHEMA)
    body = io.BytesIO(value[HEADER:])
    try:
        result = schemaless_reader(body, writer.parsed, latest(name).parsed)
    except Exception:  # noqa: BLE001
        # fastavro raises whatever its parts raise (EOFError, IndexError, UnicodeDecodeError,
        # OverflowError, struct.error, ...): to the caller they all mean the same.
        raise WireError(WireFault.MALFORMED) from None
    if body.read(1):
        raise WireError(WireFault.TRAILING_BYTES)
    if not isinstance(result, dict) or not _in_range(writer, result):
        raise WireError(WireFault.MALFORMED)
    return result


_BOUNDS = {"int": 1 << 31, "long": 1 << 63}


def _in_range(record: Record, value: Mapping[str, Any]) -> bool:
    """Tell whether numbers are what Avro has room for: fastavro reads longer ones, too."""
    for name, bound in _numbers(record):
        number = value.get(name)
        if isinstance(number, int) and not -bound <= number < bound:
            return False
    return True


@cache
def _numbers(record: Record) -> tuple[tuple[str, int], ...]:
    """Return the fields that hold whole numbers, and what those are below."""
    found = []
    for each in record.parsed["fields"]:
        kinds = each["type"] if isinstance(each["type"], list) else [each["type"]]
        found += [(each["name"], _BOUNDS[kind]) for kind in kinds
                  if isinstance(kind, str) and kind in _BOUNDS]  # fmt: skip
    return tuple(found)
