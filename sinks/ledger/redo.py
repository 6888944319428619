"""What was erased since a backup, done once more to the ledger that was restored from it.

By the functions that erased it the first time, so that it is noted once more, too: what came of
other hosts' journals is in this one then. Doing it again changes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, select, update

from privacy.rights.request import Right
from sinks.ledger import (
    cases,
    deletion,
    demands,
    holds,
    keys,
    profiles,
    requests,
    suppressed,
    tables,
    unsubscribed,
)
from sinks.ledger.cases import Deletion
from sinks.ledger.holds import Hold, Whose
from sinks.ledger.journal import Note, note
from sinks.ledger.upsert import insert

_AT_ONCE = 500

Id = TypeVar("Id")


@dataclass(slots=True)
class Erasures:
    """What notes tell, each once. Times are milliseconds since 1970."""

    ended: dict[str, Deletion] = field(default_factory=dict)  # by the deletion's id
    certified: dict[str, tuple[Mapping[str, Any], int]] = field(default_factory=dict)
    shredded: set[str] = field(default_factory=set)
    erased: dict[str, tuple[int, str]] = field(default_factory=dict)  # by subject: when, request
    unsubscribed: dict[tuple[str, str], int] = field(default_factory=dict)  # by list and subject
    held: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    lifted: set[tuple[str, str]] = field(default_factory=set)
    closed: dict[str, int] = field(default_factory=dict)  # by request
    demanded: dict[str, int] = field(default_factory=dict)  # by demand
    taken: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # by answer
    profiles: set[str] = field(default_factory=set)
    rectified: set[str] = field(default_factory=set)

    @property
    def case_ids(self) -> set[str]:
        """The cases that ended."""
        return {each.case_id for each in self.ended.values()}

    @property
    def held_visitors(self) -> Mapping[str, Mapping[str, Any]]:
        """The restrictions of visitors, by what stands for the visitor."""
        rows = (each for each in self.held.values() if each["visitor"] is not None)
        return {each["visitor"]: each for each in rows}

    def count(self) -> Mapping[str, int]:
        """Return how much there is of each kind, without what is nothing."""
        kinds = {name: len(getattr(self, name)) for name in self.__slots__}
        return {name: many for name, many in kinds.items() if many}


def gather(notes: Iterable[Note]) -> Erasures:
    """Return what notes tell, the oldest first. Raise KeyError for a note of another release."""
    found = Erasures()
    for each in notes:
        _TAKEN_IN[each["kind"]](found, each)
    return found


def _ended(found: Erasures, said: Note) -> None:
    found.ended[said["deletion"]["deletion_id"]] = Deletion(**said["deletion"])


def _certified(found: Erasures, said: Note) -> None:
    for name, content in said["certificates"].items():
        found.certified.setdefault(name, (content, said["when"]))


def _held(found: Erasures, said: Note) -> None:
    found.held[said["hold"]["hold_id"], said["hold"]["whose"]] = said["hold"]


def _lifted(found: Erasures, said: Note) -> None:
    which = said["hold_id"], said["whose"]
    if found.held.pop(which, None) is None:
        found.lifted.add(which)


_TAKEN_IN: Mapping[str, Callable[[Erasures, Note], object]] = {
    "ended": _ended,
    "certified": _certified,
    "shredded": lambda found, said: found.shredded.update(said["ids"]),
    "erased": lambda found, said: found.erased.update(
        {said["subject"]: (said["when"], said["request_id"])}
    ),
    "unsubscribed": lambda found, said: found.unsubscribed.update(
        {(said["list"], said["subject"]): said["when"]}
    ),
    "held": _held,
    "lifted": _lifted,
    "closed": lambda found, said: found.closed.update(dict.fromkeys(said["ids"], said["when"])),
    "demanded": lambda found, said: found.demanded.update(dict.fromkeys(said["ids"], said["when"])),
    "taken": lambda found, said: found.taken.update({said["answer"]["answer_id"]: said["answer"]}),
    "profiles": lambda found, said: found.profiles.update(said["ids"]),
    "rectified": lambda found, said: found.rectified.update(said["ids"]),
}


def redo(connection: Connection, erasures: Erasures, about_cases: Collection[str]) -> None:
    """Do again what was erased, but for restrictions of visitors (``hold_visitor``).

    Cases that ended are to be shredded, as ever. ``about_cases`` are the topics that tell of cases:
    what waits to be sent there of those that ended is not.
    """
    _redo_cases(connection, erasures, about_cases)
    _redo_people(connection, erasures)
    _redo_requests(connection, erasures)


def _redo_cases(connection: Connection, erasures: Erasures, about_cases: Collection[str]) -> None:
    for some in _some(erasures.ended.values()):
        end(connection, some)
        _unsend(connection, {each.case_id for each in some}, about_cases)
    _certify(connection, erasures.certified)


def _redo_people(connection: Connection, erasures: Erasures) -> None:
    for subject, (at, request_id) in erasures.erased.items():
        suppressed.put(connection, subject, at, request_id)
    for (list_, subject), at in erasures.unsubscribed.items():
        unsubscribed.add(connection, list_, subject, at)
    for row in erasures.held.values():
        if row["whose"] != Whose.VISITOR:
            _hold(connection, row, row["visitor"])
    for ids in _some(erasures.profiles):
        profiles.erase(connection, ids)


def _redo_requests(connection: Connection, erasures: Erasures) -> None:
    again = _to_do_again(connection, erasures.closed)
    for ids in _some(erasures.shredded - again):
        keys.shred(connection, ids)
    for ids in _some(erasures.closed):
        _close(connection, {each: erasures.closed[each] for each in ids}, again)
    for ids in _some(erasures.demanded):
        demands.shred(connection, ids, max(erasures.demanded[each] for each in ids))
    for rows in _some(erasures.taken.values()):
        _take(connection, rows)


def end(connection: Connection, ended: Sequence[Deletion]) -> None:
    """Have cases deleted that are not being yet."""
    known = cases.deleted(connection, [each.case_id for each in ended])
    cases.end(connection, [each for each in ended if each.case_id not in known])


def hold_visitor(connection: Connection, row: Mapping[str, Any], visitor: str) -> None:
    """Restrict a visitor again, whose cookie id the note did not say."""
    _hold(connection, row, visitor)


def _hold(connection: Connection, row: Mapping[str, Any], visitor: str | None) -> None:
    content = {name: row[name] for name in Hold.__slots__}
    new = Hold(**{**content, "kind": holds.Kind(row["kind"]), "visitor": visitor})
    holds.place(connection, new)
    if new.whose is Whose.SUBJECT and new.subject is not None:
        holds.hold_cases(connection, new.subject, new.hold_id)


def _certify(
    connection: Connection, certified: Mapping[str, tuple[Mapping[str, Any], int]]
) -> None:
    """Keep the certificates that were issued: nobody is given another."""
    for ids in _some(certified):
        for each in ids:
            content, at = certified[each]
            deletion.complete(connection, {each: content}, at)


def _unsend(connection: Connection, case_ids: Collection[str], targets: Collection[str]) -> None:
    waiting = tables.outbox.c
    connection.execute(
        delete(tables.outbox).where(
            waiting.key.in_([each.encode() for each in case_ids]), waiting.target.in_(targets)
        )
    )


def _close(connection: Connection, closed: Mapping[str, int], kept: Collection[str]) -> None:
    """Close requests that were; what they did is on the topics, or among the notes."""
    of, steps = tables.requests.c, tables.request_commands.c
    some = of.request_id.in_(closed.keys() - set(kept)), of.closed_at.is_(None)
    for request_id in connection.scalars(select(of.request_id).where(*some)).all():
        at = closed[request_id]
        undone = steps.request_id == request_id, steps.done_at.is_(None)
        connection.execute(
            update(tables.request_commands)
            .where(*undone)
            .values(done_at=at, outcome="before the ledger was restored")
        )
        open_ = of.request_id == request_id, of.answered_at.is_(None)
        connection.execute(update(tables.requests).where(*open_).values(answered_at=at))
        requests.close(connection, [request_id], at)


def _to_do_again(connection: Connection, closed: Collection[str]) -> set[str]:
    """Return the rectifications that are open here: what they did is nowhere, and is done again.

    Their keys stay until then. They close as they did before.
    """
    of = tables.requests.c
    mine = of.right == Right.RECTIFICATION, of.answered_at.is_(None)
    found: set[str] = set()
    for ids in _some(closed):
        found |= set(connection.scalars(select(of.request_id).where(of.request_id.in_(ids), *mine)))
    return found


def _take(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    new = insert(connection, tables.answers)
    same = new.on_conflict_do_update(
        index_elements=list(tables.answers.primary_key),
        set_={name: new.excluded[name] for name in ("sealed", "taken_at")},
    )
    connection.execute(same, [dict(each) for each in rows])
    for each in rows:
        note(connection, "taken", answer=dict(each))


def _some(items: Iterable[Id]) -> Iterator[list[Id]]:
    """Yield items in pieces, as many as a statement may have."""
    every = list(items)
    for start in range(0, len(every), _AT_ONCE):
        yield every[start : start + _AT_ONCE]
