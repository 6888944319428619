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

import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from lethe.case_keys import CaseKeys, KeysUnavailableError
from schemas.codec import WireError, decode
from sinks.keys.seal import NotSealedError, unseal

AT_ONCE = 1_000

_log = logging.getLogger("lethe.case_reader")


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


class CasesRefusedError(RuntimeError):
    """Raised when the broker has no such topic for us; the message says what helps."""


class CaseReader:
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

    def __init__(
        self,
        bootstrap: str,
        department: str,
        *,
        keys_url: str,
        token: str,
        prefix: str = "",
        group: str | None = None,
        steady: Callable[[], float] = time.monotonic,
        ssl_context: ssl.SSLContext | None = None,
        **kafka_options: Any,
    ) -> None:
        self._department = department
        self._group = group
        self._keys = CaseKeys(keys_url, token, steady=steady, ssl_context=ssl_context)
        self._uncommitted = False
        self._login = f"{prefix}department-{department}"
        self._topic = f"{prefix}cases-{department}"
        self._consumer = KafkaConsumer(
            **{"allow_auto_create_topics": False, **kafka_options},
            bootstrap_servers=bootstrap.split(","),
            group_id=None if group is None else f"{self._login}.{group}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        known = self._consumer.partitions_for_topic(self._topic)
        if not known:  # one that we may not even know of is as one that is not there
            self._consumer.close(autocommit=False)
            raise self._refused()
        if group is None:
            self._consumer.assign([TopicPartition(self._topic, each) for each in sorted(known)])
        else:
            self._consumer.subscribe([self._topic])

    def poll(self, seconds: float = 1.0) -> list[Change]:
        """Return what has changed, in order for each case; wait ``seconds`` for it at most.

        In a group, asking for more says that all before is done. Raise KeysUnavailableError;
        nothing is lost: it comes again. Raise CasesRefusedError when we may read no more.
        """
        self._commit()
        self._keys.expire()
        found: Mapping[TopicPartition, Sequence[Any]]
        try:
            found = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=AT_ONCE)
        except (TopicAuthorizationFailedError, GroupAuthorizationFailedError):
            raise self._refused() from None
        try:
            changes = self._read([each for messages in found.values() for each in messages])
        except KeysUnavailableError:
            for place, messages in found.items():
                self._consumer.seek(place, messages[0].offset)
            raise
        self._uncommitted = bool(found)
        return changes

    def __iter__(self) -> Iterator[Change]:
        """Yield what changes, for ever."""
        while True:
            yield from self.poll()

    def present(self) -> Mapping[str, Case]:
        """Return every case that is there now, by id. Raise ValueError for a reader in a group."""
        if self._group is not None:
            raise ValueError("a group shares its cases; leave it out")
        ends = self._consumer.end_offsets(list(self._consumer.assignment()))
        self._consumer.seek_to_beginning()
        found: dict[str, Case] = {}
        while any(self._consumer.position(place) < end for place, end in ends.items()):
            for change in self.poll(0.2):
                if isinstance(change, Case):
                    found[change.case_id] = change
                else:
                    found.pop(change.case_id, None)
        return found

    def close(self) -> None:
        """Let go of the connections and the keys."""
        self._consumer.close(autocommit=False)
        self._keys.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self._commit()
        self.close()

    def _refused(self) -> CasesRefusedError:
        return CasesRefusedError(
            f"{self._topic} is not there, or not for this login: log in as {self._login}, and have "
            "lethe topics --create and lethe topics acls --apply run with today's policy"
        )

    def _commit(self) -> None:
        if self._uncommitted and self._group is not None:
            with suppress(KafkaError):  # the partitions went to another: it comes again, to them
                self._consumer.commit()
        self._uncommitted = False

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
            _passed_over(message.partition, message.offset, error.fault.value)
            return None
        if record["department"] != self._department or record["case_id"] != case_id:
            _passed_over(message.partition, message.offset, "misplaced")
            return None
        return record


def _opened(record: Mapping[str, Any], key: bytes) -> Case | None:
    try:
        personal = unseal(
            key,
            record["sealed"],
            site=record["site"],
            case_id=record["case_id"],
            version=record["key_version"],
        )
    except NotSealedError:
        _log.error("case %s was not sealed with its key", record["case_id"])
        return None
    told = {name: record[name] for name in Case.__slots__ if name != "fields"}
    return Case(**told, fields={**record["settings"], **personal})


def _passed_over(partition: int, offset: int, why: str) -> None:
    _log.error("case unreadable: partition %d, offset %d: %s", partition, offset, why)
