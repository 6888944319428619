"""Deletions, step by step, and what proves them (S3, S20).

    shredded    the case and its keys are deleted, in one transaction
    unreadable  the database's log is emptied of them
    announced   tombstones, and the deletion for the holders outside, are with the broker
    completed   every holder has answered; the certificate is signed

A step is noted when it is done, so that whoever looks for the next goes on where another stopped.
A row stays for ever: a case that is named here never comes back. Times are milliseconds since
1970; ids are about a thousand at most.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    select,
    update,
)

from privacy.certificate import Outcome, Receipt
from sinks.ledger import holds, keys
from sinks.ledger.cases import Deletion
from sinks.ledger.journal import note
from sinks.ledger.tables import case_keys, cases, deletions, receipts
from sinks.ledger.upsert import insert

DONE = (Outcome.DONE, Outcome.NOTHING_HELD)


@dataclass(frozen=True, slots=True)
class Progress:
    """A deletion, and when each of its steps was done; None: not yet."""

    deletion: Deletion
    shredded_at: int | None
    unreadable_at: int | None
    announced_at: int | None
    completed_at: int | None
    certificate: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Late:
    """How many deletions wait for ``holder`` past their deadline, and the first deadline.

    No holder: they wait for the pipeline itself.
    """

    holder: str | None
    count: int
    since: int


def to_shred(connection: Connection, limit: int) -> list[str]:
    """Return cases that are over and whose keys are there, the oldest first."""
    return list(connection.scalars(_waiting(_SHRED, deletions.c.case_id).limit(limit)))


def to_scrub(connection: Connection, limit: int) -> list[str]:
    """Return cases that are shredded, and whose keys may be in the database's log."""
    return list(connection.scalars(_waiting(_SCRUB, deletions.c.case_id).limit(limit)))


def to_announce(connection: Connection, limit: int) -> list[Deletion]:
    """Return deletions that are unreadable, and that the broker may not know of."""
    rows = connection.execute(_waiting(_ANNOUNCE, *_ASKED).limit(limit)).mappings()
    return [Deletion(**row) for row in rows]


def shred(connection: Connection, case_ids: Collection[str], at: int) -> None:
    """Delete cases and their keys."""
    keys.shred(connection, case_ids)
    connection.execute(delete(cases).where(cases.c.case_id.in_(case_ids)))
    holds.forget_deferred(connection, case_ids)
    _note(connection, deletions.c.shredded_at, case_ids, at)


def unreadable(connection: Connection, case_ids: Collection[str], at: int) -> list[int]:
    """Note that no file has the keys any more; return when each deletion was asked for."""
    return _note(connection, deletions.c.unreadable_at, case_ids, at)


def announced(connection: Connection, case_ids: Collection[str], at: int) -> None:
    """Note that the broker has all that is to be said of them."""
    _note(connection, deletions.c.announced_at, case_ids, at)


def again(connection: Connection, case_ids: Collection[str]) -> None:
    """Begin deletions again, of which something was found that should be gone."""
    steps = (deletions.c.shredded_at, deletions.c.unreadable_at, deletions.c.announced_at)
    connection.execute(
        update(deletions)
        .where(deletions.c.case_id.in_(case_ids))
        .values({each.name: None for each in steps})
    )


def complete(
    connection: Connection, certificates: Mapping[str, Mapping[str, Any]], at: int
) -> None:
    """Note that everybody is done, and keep the certificates, by deletion."""
    if certificates:
        note(connection, "certified", certificates=dict(certificates), when=at)
        connection.execute(
            update(deletions)
            .where(deletions.c.deletion_id == bindparam("_id"), deletions.c.completed_at.is_(None))
            .values(completed_at=at, certificate=bindparam("_certificate")),
            [{"_id": each, "_certificate": content} for each, content in certificates.items()],
        )


def asked(connection: Connection, deletion_ids: Collection[str]) -> dict[str, Deletion]:
    """Return deletions by id, and have others who would complete them wait for our end.

    Called first by whoever keeps receipts: with the last receipt, or with the announcement, one of
    the two sees that nothing lacks.
    """
    query = select(*_ASKED).where(deletions.c.deletion_id.in_(deletion_ids))
    rows = connection.execute(query.order_by(deletions.c.deletion_id).with_for_update()).mappings()
    return {row["deletion_id"]: Deletion(**row) for row in rows}


def receive(connection: Connection, new: Sequence[tuple[str, Receipt]]) -> None:
    """Keep receipts, each with its deletion's id.

    What is done stays done: a holder that answers again, whatever, changes nothing.
    """
    if not new:
        return
    told = insert(connection, receipts)
    kept = told.on_conflict_do_update(
        index_elements=list(receipts.primary_key),
        set_={name: told.excluded[name] for name in ("outcome", "at")},
        where=(receipts.c.outcome == Outcome.FAILED) & (told.excluded.outcome != Outcome.FAILED),
    )
    connection.execute(
        kept,
        [
            {"deletion_id": id_, "holder": each.holder, "outcome": each.outcome, "at": each.at}
            for id_, each in new
        ],
    )


def receipts_of(
    connection: Connection, deletion_ids: Collection[str]
) -> Mapping[str, Sequence[Receipt]]:
    """Return what holders said, by deletion."""
    found: dict[str, list[Receipt]] = {each: [] for each in deletion_ids}
    query = select(receipts).where(receipts.c.deletion_id.in_(deletion_ids))
    for row in connection.execute(query.order_by(receipts.c.holder)):
        found[row.deletion_id].append(Receipt(row.holder, Outcome(row.outcome), row.at))
    return found


def answered(
    connection: Connection, deletion_ids: Collection[str]
) -> list[tuple[Progress, Sequence[Receipt]]]:
    """Return, locked, those that are announced and wait for no holder, with the receipts."""
    query = select(deletions).where(
        deletions.c.deletion_id.in_(deletion_ids),
        deletions.c.announced_at.is_not(None),
        deletions.c.completed_at.is_(None),
    )
    rows = connection.execute(query.order_by(deletions.c.deletion_id).with_for_update()).mappings()
    waiting = {row["deletion_id"]: _progress(row) for row in rows}
    said = receipts_of(connection, waiting.keys())
    return [
        (each, said[name])
        for name, each in waiting.items()
        if not missing(each.deletion, said[name])
    ]


def missing(deletion: Deletion, said: Sequence[Receipt]) -> list[str]:
    """Return the holders that have not done their part."""
    done = {each.holder for each in said if each.outcome in DONE}
    return [each for each in deletion.holders if each not in done]


def traces(connection: Connection, case_ids: Collection[str]) -> set[str]:
    """Return those of ``case_ids`` of which the ledger still has a key or the case."""
    found: set[str] = set()
    for table in (case_keys, cases):
        query = select(table.c.case_id).where(table.c.case_id.in_(case_ids)).distinct()
        found |= set(connection.scalars(query))
    return found


def show(connection: Connection, either_id: str) -> Progress | None:
    """Return a deletion by its own id or its case's."""
    where = (deletions.c.deletion_id == either_id) | (deletions.c.case_id == either_id)
    row = connection.execute(select(deletions).where(where)).mappings().first()
    return None if row is None else _progress(row)


def unfinished(connection: Connection, case_ids: Collection[str]) -> int:
    """Return of how many of ``case_ids`` the deletion was asked for and is not complete."""
    query = select(func.count()).where(
        deletions.c.case_id.in_(case_ids), deletions.c.completed_at.is_(None)
    )
    return connection.scalar(query) or 0


def waits_for(connection: Connection, case_ids: Collection[str]) -> set[str]:
    """Return the holders that the deletions of ``case_ids`` wait for."""
    query = select(*_ASKED).where(
        deletions.c.case_id.in_(case_ids), deletions.c.completed_at.is_(None)
    )
    open_ = [Deletion(**row) for row in connection.execute(query).mappings()]
    said = receipts_of(connection, [each.deletion_id for each in open_])
    return {holder for each in open_ for holder in missing(each, said[each.deletion_id])}


def overdue(connection: Connection, at: int, limit: int) -> list[Progress]:
    """Return deletions that should be complete by ``at`` and are not, the first deadline first."""
    query = select(deletions).where(*_overdue(at)).order_by(deletions.c.deadline).limit(limit)
    return [_progress(row) for row in connection.execute(query).mappings()]


def latest(connection: Connection, limit: int) -> list[Progress]:
    """Return deletions, those asked for last first."""
    query = select(deletions).order_by(deletions.c.requested_at.desc()).limit(limit)
    return [_progress(row) for row in connection.execute(query).mappings()]


def late(connection: Connection, at: int, patience_ms: int) -> list[Late]:
    """Return who is waited for past deadlines, by name.

    The pipeline itself is, for what it has not announced ``patience_ms`` after it was asked for.
    """
    return counted(_lates(connection, at, patience_ms))


def counted(lates: Iterable[tuple[str | None, int]]) -> list[Late]:
    """Return how often who is waited for, since when at first, by name."""
    found: dict[str | None, Late] = {}
    for who, since in lates:
        before = found.get(who, Late(who, 0, since))
        found[who] = Late(who, before.count + 1, min(before.since, since))
    return sorted(found.values(), key=lambda each: each.holder or "")


def waited_for(
    rows: Iterable[tuple[str, Sequence[str], int, str | None]],
) -> Iterator[tuple[str, int]]:
    """Yield each holder that has not done its part, and the deadline.

    A row is an id, its holders, the deadline, and one holder that has, or none.
    """
    waiting: dict[str, tuple[set[str], int]] = {}
    for id_, asked_of, deadline, done in rows:
        holders, _ = waiting.setdefault(id_, (set(asked_of), deadline))
        holders.discard(done or "")
    yield from ((each, since) for holders, since in waiting.values() for each in holders)


def _lates(connection: Connection, at: int, patience_ms: int) -> Iterator[tuple[str | None, int]]:
    for step in (_SHRED, _SCRUB, _ANNOUNCE):
        for asked_at in connection.scalars(_waiting(step, deletions.c.requested_at)):
            if asked_at + patience_ms < at:
                yield None, asked_at + patience_ms
    theirs = deletions.outerjoin(
        receipts,
        (receipts.c.deletion_id == deletions.c.deletion_id) & receipts.c.outcome.in_(DONE),
    )
    query = (
        select(
            deletions.c.deletion_id, deletions.c.holders, deletions.c.deadline, receipts.c.holder
        )
        .select_from(theirs)
        .where(*_overdue(at), deletions.c.announced_at.is_not(None))
    )
    yield from waited_for((*row,) for row in connection.execute(query))


def _overdue(at: int) -> tuple[Any, Any]:
    return deletions.c.completed_at.is_(None), deletions.c.deadline < at


def _note(
    connection: Connection, step: Column[Any], case_ids: Collection[str], at: int
) -> list[int]:
    """Note that a step is done, once; return when those were asked for that it is new for."""
    new = update(deletions).where(deletions.c.case_id.in_(case_ids), step.is_(None))
    noted = new.values({step.name: at}).returning(deletions.c.requested_at)
    return list(connection.scalars(noted))


def _progress(row: Mapping[Any, Any]) -> Progress:
    steps = ("shredded_at", "unreadable_at", "announced_at", "completed_at", "certificate")
    asked_for = Deletion(**{each.name: row[each.name] for each in _ASKED})
    return Progress(asked_for, *(row[name] for name in steps))


_ASKED = tuple(deletions.c[name] for name in Deletion.__slots__)

# What waits for each step, as the indexes have it: since when, and which.
_SHRED = deletions.c.requested_at, deletions.c.shredded_at.is_(None)
_SCRUB = (
    deletions.c.shredded_at,
    deletions.c.shredded_at.is_not(None) & deletions.c.unreadable_at.is_(None),
)
_ANNOUNCE = (
    deletions.c.unreadable_at,
    deletions.c.unreadable_at.is_not(None) & deletions.c.announced_at.is_(None),
)


def _waiting(step: tuple[Column[Any], ColumnElement[bool]], *columns: Column[Any]) -> Select[Any]:
    since, which = step
    return select(*columns).where(which).order_by(since)
