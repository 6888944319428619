"""The SDK for holders outside: what people ask of their rights reaches them too (S17 to S19, S21).

    with RightsWorker(
        "kafka.example:9092", "crm", keys_url="https://keys.example", token=token
    ) as worker:
        worker.run(Handlers(correct=correct, hold=hold, export=export))

Each handler may be called again for what it has done, as ``RetentionWorker`` calls ``erase``, which
runs beside it. What one case is asked of one kind is done in the order it was asked. Needs the base
install alone.
"""

import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from lethe.case_keys import CaseKeys, KeysUnavailableError
from lethe.holding import HolderWorker, Said
from privacy.certificate import Outcome
from sinks.keys.demands import open_told, seal_held

MOST_CONTENT = 1_000_000
"""Bytes of an export, as JSON: what fits a message of the broker."""

STATEMENT = "statement"

_log = logging.getLogger("lethe.rights")


class HoldKind(StrEnum):
    """What becomes of a case: under a restriction (Art. 18 GDPR), or free again."""

    RESTRICTION = "restriction"
    LIFTING = "lifting"


@dataclass(frozen=True, slots=True)
class Correction:
    """Fields of a case that were rectified, with their new values (Art. 16 and 19 GDPR).

    ``statement`` is what the person adds where something was incomplete; None: nothing.
    """

    demand_id: str
    case_id: str
    service: str
    fields: Mapping[str, str] = field(repr=False)
    statement: str | None = field(repr=False)
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """A case that is only to be stored from now on, not used, and not deleted; or no longer so."""

    demand_id: str
    case_id: str
    service: str
    kind: HoldKind
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Export:
    """A case of which the person asks for a copy of all that is held (Art. 15 and 20 GDPR)."""

    demand_id: str
    case_id: str
    service: str
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Handlers:
    """What a holder does. Each raises when it cannot now; it is then called again, later each time.

    ``correct`` and ``hold`` return DONE or NOTHING_HELD; a hold is remembered also for a case of
    which nothing is held yet. ``export`` returns all that is held of a case, as JSON can say it;
    None: nothing.
    """

    correct: Callable[[Correction], Outcome]
    hold: Callable[[Hold], Outcome]
    export: Callable[[Export], Mapping[str, Any] | None]


class ExportTooLargeError(RuntimeError):
    """Raised for an export of more than MOST_CONTENT bytes: hand it to the controller yourself."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A correction that its key has still to open."""

    record: Mapping[str, Any] = field(repr=False)


class RightsWorker(HolderWorker[_Sealed | Hold | Export, Handlers]):
    """Gives one holder the demands of people's rights, at least once each. For one thread.

    ``keys_url`` and ``token`` are the key server's and the holder's: corrections and exports are
    sealed. ``ssl_context`` is for the key server. What the other arguments mean, and what is done
    about failures, ``HolderWorker`` says. Raise ValueError for a ``keys_url`` without TLS, except
    on this machine.
    """

    records: ClassVar[Mapping[str, str]] = {
        "corrections": "correction",
        "holds": "hold",
        "exports": "export",
    }
    group = "rights-{}"
    task_id = "demand_id"

    def __init__(
        self,
        bootstrap: str,
        holder: str,
        *,
        keys_url: str,
        token: str,
        ssl_context: ssl.SSLContext | None = None,
        **more: Any,
    ) -> None:
        steady = {"steady": more["steady"]} if "steady" in more else {}
        self._keys = CaseKeys(keys_url, token, ssl_context=ssl_context, **steady)
        self._given: Mapping[str, bytes] | None = {}
        super().__init__(bootstrap, holder, **more)

    def close(self) -> None:
        """Let go of the connections and the keys. What is not done comes again."""
        self._keys.clear()
        super().close()

    def _task(self, name: str, record: Mapping[str, Any]) -> _Sealed | Hold | Export:
        match name:
            case "correction":
                return _Sealed(record)
            case "hold":
                return Hold(**_told(record), kind=HoldKind(record["kind"]))
            case _:
                return Export(**_told(record))

    def _prepare(self, tasks: Sequence[_Sealed | Hold | Export]) -> None:
        """Get the keys at once; without the key server, holds go on."""
        try:
            self._given = self._keys.of(_id(each) for each in tasks if not isinstance(each, Hold))
        except KeysUnavailableError as error:
            _log.warning("%s", error)
            self._given = None

    def _do(self, handle: Handlers, task: _Sealed | Hold | Export) -> Said | None:
        if isinstance(task, Hold):
            return Said(Outcome(handle.hold(task)))
        if self._given is None:
            raise KeysUnavailableError
        key = self._given.get(_id(task))
        if key is None:  # the demand is over; were it not, it would be overdue
            _log.error("demand_id %s has no key for us; passed over", _id(task))
            return None
        if isinstance(task, _Sealed):
            return Said(Outcome(handle.correct(_opened(task.record, key))))
        held = handle.export(task)
        if held is None:
            return Said(Outcome.NOTHING_HELD)
        content = seal_held(key, task.demand_id, held)
        if len(content) > MOST_CONTENT:
            raise ExportTooLargeError
        return Said(Outcome.DONE, content)


def _id(task: _Sealed | Export) -> str:
    return str(task.record["demand_id"]) if isinstance(task, _Sealed) else task.demand_id


def _opened(record: Mapping[str, Any], key: bytes) -> Correction:
    """Return a correction. Raise NotSealedError when it was not sealed with its key."""
    fields = open_told(key, record["demand_id"], record["sealed"], record["key_version"])
    statement = fields.pop(STATEMENT, None)
    return Correction(**_told(record), fields=fields, statement=statement)


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what records of each kind say."""
    return {each: record[each] for each in Export.__slots__}
