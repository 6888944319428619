"""The SDK for departments: read the cases that are theirs, and know when one is over (S2, S3).

    with CaseReader(
        "kafka.example:9092", "marketing", keys_url="https://keys.example", token=token, group="crm"
    ) as reader:
        for change in reader:
            match change:
                case Case():
                    keep(change.case_id, change.fields)
                case Ended():
                    forget(change.case_id)

What is not the department's own stays sealed. Needs the base install alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lethe.sealed_reader import ReadingRefusedError, SealedReader, opened, passed_over
from schemas.codec import WireError, decode


@dataclass(frozen=True, slots=True)
class Case:
    """A case as it stands. ``fields`` are those of the form, as text; in no ``repr``."""

    case_id: str
    site: str
    service: str
    group: str | None
    state: str
    language: str | None
    received_at: datetime
    changed_at: datetime
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """A case is over, and nobody can read it any more: whatever was kept of it has to go."""

    case_id: str


Change = Case | Ended


class CasesRefusedError(ReadingRefusedError):
    """Raised when the broker has no such topic for us; the message says what helps."""


class CaseReader(SealedReader[Change]):
    """Reads ``cases-<department>``. For one thread.

    ``bootstrap`` is ``host:port``, several with commas; ``prefix`` is what the pipeline's settings
    put before each topic. ``keys_url`` and ``token`` are the key server's and the department's.
    ``group``: go on where that group of the department's has come to, each change once at least,
    and share the work with its other readers; None: from the beginning. ``kafka_options`` go to
    kafka-python's consumer (``security_protocol``, ``sasl_mechanism``, ...).

    Keys are used for a minute at most. A case whose key is gone is passed over: that it ended is
    said too. Raise ValueError for a ``keys_url`` without TLS, except on this machine,
    CasesRefusedError, and KafkaError when no broker answers.
    """

    topic = "cases-{}"
    groups = "department-{}"
    refused = CasesRefusedError

    def present(self) -> Mapping[str, Case]:
        """Return every case that is there now, by id. Raise ValueError for a reader in a group."""
        if self._group is not None:
            raise ValueError("a group shares its cases; leave it out")
        found: dict[str, Case] = {}
        for change in self.until_now():
            if isinstance(change, Case):
                found[change.case_id] = change
            else:
                found.pop(change.case_id, None)
        return found

    def _read(self, messages: Sequence[Any]) -> list[Change]:
        read = [self._change(message) for message in messages]
        keys = self._keys.of(each["case_id"] for each in read if isinstance(each, dict))
        changes: list[Change] = []
        for each in read:
            if isinstance(each, Ended):
                self._keys.forget(each.case_id)
                changes.append(each)
            elif each is not None and (key := keys.get(each["case_id"])) is not None:
                case = _opened(each, key)
                if case is not None:
                    changes.append(case)
        return changes

    def _change(self, message: Any) -> dict[str, Any] | Ended | None:
        """Return a message's record; None: it is none of this department's cases."""
        case_id = (message.key or b"").decode(errors="replace")
        if not case_id:
            return None  # what keeps the broker compacting
        if message.value is None:
            return Ended(case_id)
        try:
            record = decode("case", message.value)
        except WireError as error:
            passed_over(message, error.fault.value)
            return None
        if record["department"] != self._department or record["case_id"] != case_id:
            passed_over(message, "misplaced")
            return None
        return record


def _opened(record: Mapping[str, Any], key: bytes) -> Case | None:
    personal = opened(record, key, "case_id")
    if personal is None:
        return None
    told = {name: record[name] for name in Case.__slots__ if name != "fields"}
    return Case(**told, fields={**record["settings"], **personal})
