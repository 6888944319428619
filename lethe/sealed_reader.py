"""What the SDK's readers of sealed records share: a topic, a group, and keys for a minute."""

import logging
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from lethe.case_keys import CaseKeys, KeysUnavailableError
from sinks.keys.seal import NotSealedError, unseal

AT_ONCE = 1_000

Item = TypeVar("Item")

_log = logging.getLogger("lethe.sealed_reader")


class ReadingRefusedError(RuntimeError):
    """Raised when the broker has no such topic for us; the message says what helps."""


class SealedReader(ABC, Generic[Item]):
    """Reads a topic with a department's login and token. For one thread.

    ``topic`` and ``groups``, what the name of each group begins with, have the department's name
    in the place of ``{}``.
    """

    topic: ClassVar[str]
    groups: ClassVar[str]
    refused: ClassVar[type[ReadingRefusedError]]

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
        self._topic = prefix + self.topic.format(department)
        groups = prefix + self.groups.format(department)
        self._consumer = KafkaConsumer(
            **{"allow_auto_create_topics": False, **kafka_options},
            bootstrap_servers=bootstrap.split(","),
            group_id=None if group is None else f"{groups}.{group}",
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

    @abstractmethod
    def _read(self, messages: Sequence[Any]) -> list[Item]:
        """Return what messages say, in order. Raise KeysUnavailableError: they come again."""

    def poll(self, seconds: float = 1.0) -> list[Item]:
        """Return what is new, in order for each key; wait ``seconds`` for it at most.

        In a group, asking for more says that all before is done. Raise KeysUnavailableError;
        nothing is lost: it comes again. Raise ReadingRefusedError when we may read no more.
        """
        self._commit()
        self._keys.expire()
        found: Mapping[TopicPartition, Sequence[Any]]
        try:
            found = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=AT_ONCE)
        except (TopicAuthorizationFailedError, GroupAuthorizationFailedError):
            raise self._refused() from None
        try:
            items = self._read([each for messages in found.values() for each in messages])
        except KeysUnavailableError:
            for place, messages in found.items():
                self._consumer.seek(place, messages[0].offset)
            raise
        self._uncommitted = bool(found)
        return items

    def __iter__(self) -> Iterator[Item]:
        """Yield what is new, for ever."""
        while True:
            yield from self.poll()

    def until_now(self) -> Iterator[Item]:
        """Yield all from the beginning to the topic's ends as they are now, for one in no group."""
        ends = self._consumer.end_offsets(list(self._consumer.assignment()))
        self._consumer.seek_to_beginning()
        while any(self._consumer.position(place) < end for place, end in ends.items()):
            yield from self.poll(0.2)

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

    def _refused(self) -> ReadingRefusedError:
        return self.refused(
            f"{self._topic} is not there, or not for this login: log in as {self._login}, and have "
            "lethe topics --create and lethe topics acls --apply run with today's policy"
        )

    def _commit(self) -> None:
        if self._uncommitted and self._group is not None:
            with suppress(KafkaError):  # the partitions went to another: it comes again, to them
                self._consumer.commit()
        self._uncommitted = False


def opened(record: Mapping[str, Any], key: bytes, name: str) -> Mapping[str, str] | None:
    """Return a record's sealed fields; None, and a line in the log, where the key is not theirs.

    ``name`` is the field with the id that they are bound to.
    """
    try:
        return unseal(
            key,
            record["sealed"],
            site=record["site"],
            case_id=record[name],
            version=record["key_version"],
        )
    except NotSealedError:
        _log.error("%s %s was not sealed with its key", name, record[name])
        return None


def passed_over(message: Any, why: str) -> None:
    """Say in the log that a message cannot be read, and where it is."""
    _log.error("unreadable: partition %d, offset %d: %s", message.partition, message.offset, why)
