"""Cases: one submission of a form each, until its service is done (S1 to S7).

A case that ended waits here for its keys to be shredded, with its row in ``deletions``, which
stays: a case that is there never comes back. Personal fields are sealed; times are milliseconds
since 1970.

A case that a restriction holds, or that a claim keeps (``sinks.ledger.holds``), does not end by
itself or with its group: those who look for such cases do not find it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from privacy.lifecycle import CaseState
from sinks.ledger.journal import note
from sinks.ledger.tables import case_keys, cases, deletions, holds

_CHANGING = ("state", "changed_at", "due_at", "further", "held")
_CORRECTED = ("subject", "sealed", "settings")


@dataclass(frozen=True, slots=True)
class Case:
    """One case. ``sealed`` are its personal fields, base64 of what the topics carry.

    ``settings`` are the fields that are not personal; ``further`` names the notice on which further
    processing was consented to; at ``due_at`` its state ends by itself. ``held`` is the restriction
    under which it is stored and nothing else is done with it (Art. 18 GDPR).
    """

    case_id: str
    service: str
    group_id: str | None
    site: str
    subject: str | None = field(repr=False)
    state: CaseState
    language: str | None
    received_at: int
    changed_at: int
    due_at: int | None
    key_version: int
    sealed: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, str] = field(repr=False)
    further: Mapping[str, str] | None
    held: str | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """What is to be deleted, by whom outside, why, and by when."""

    deletion_id: str
    case_id: str
    service: str
    departments: Sequence[str]
    holders: Sequence[str]
    cause: str
    cause_id: str
    requested_at: int
    deadline: int


def add(connection: Connection, new: Sequence[Case]) -> None:
    """Keep cases that are not there yet."""
    if new:
        connection.execute(insert(cases), [asdict(each) for each in new])


def locked(connection: Connection, case_ids: Collection[str]) -> dict[str, Case]:
    """Return cases by id, and let others who would change them wait for our end.

    ``case_ids`` are about a thousand at most.
    """
    return {each.case_id: each for each in _locked(connection, cases.c.case_id.in_(case_ids))}


def in_group(
    connection: Connection, service: str, group_id: str, state: CaseState, limit: int
) -> list[Case]:
    """Return up to ``limit`` cases of a group in a state that may end, locked likewise."""
    return _locked(connection, *_group(service, group_id, state), *_MAY_END, limit=limit)


def of_subject(
    connection: Connection, subject: str, services: Collection[str], *, held: bool = False
) -> list[Case]:
    """Return the cases of a person that are open, of some services, locked likewise.

    Those under a restriction only if ``held``.
    """
    some = [cases.c.service.in_(services), cases.c.state == CaseState.OPEN]
    if not held:
        some.append(_FREE)
    return _locked(connection, cases.c.subject == subject, *some)


def of_subjects(connection: Connection, subjects: Collection[str]) -> Mapping[str, Sequence[Case]]:
    """Return the cases of about a thousand people that have not ended, by subject, in order."""
    query = select(cases).where(cases.c.subject.in_(subjects), cases.c.state != CaseState.ENDED)
    ordered = query.order_by(cases.c.received_at, cases.c.case_id)
    found: dict[str, list[Case]] = {each: [] for each in subjects}
    for row in connection.execute(ordered).mappings() if subjects else ():
        found[row["subject"]].append(_case(row))
    return found


def waiting(connection: Connection, service: str, group_id: str, limit: int) -> list[Case]:
    """Return up to ``limit`` cases of a group that have waited longest, in order and locked."""
    query = select(cases).where(*_group(service, group_id, CaseState.WAITING), _FREE)
    first = query.order_by(cases.c.received_at, cases.c.case_id).limit(limit).with_for_update()
    return [_case(row) for row in connection.execute(first).mappings()]


def due(connection: Connection, at: int, limit: int) -> list[Case]:
    """Return up to ``limit`` cases whose state ends by itself at ``at`` or before, locked."""
    return _locked(connection, *_due(at), limit=limit)


def services(connection: Connection) -> set[str]:
    """Return the services that have cases. Looks at each case."""
    return set(connection.scalars(select(cases.c.service).distinct()))


def is_due(connection: Connection, at: int) -> bool:
    """Tell whether a case's state ends by itself at ``at`` or before."""
    query = select(cases.c.case_id).where(*_due(at))
    return connection.execute(query.limit(1)).first() is not None


def count(
    connection: Connection,
    service: str,
    group_id: str,
    state: CaseState,
    *,
    may_end: bool = False,
) -> int:
    """Return how many cases of a group are in a state; ``may_end``: that ``in_group`` finds."""
    some = [*_group(service, group_id, state), *(_MAY_END if may_end else ())]
    return connection.scalar(select(func.count()).select_from(cases).where(*some)) or 0


def move(connection: Connection, changed: Sequence[Case]) -> None:
    """Keep what may change of cases: the state, since and until when, further processing, hold."""
    _change(connection, changed, _CHANGING)


def correct(connection: Connection, changed: Sequence[Case]) -> None:
    """Keep what was rectified (S19): the fields, and whose case it is."""
    if changed:
        note(connection, "rectified", ids=[each.case_id for each in changed])
    _change(connection, changed, _CORRECTED)


def end(connection: Connection, ended: Sequence[Deletion]) -> None:
    """Have cases deleted. Nothing else is needed: whoever shreds keys looks for these rows."""
    rows = [asdict(each) for each in ended]
    if rows:
        connection.execute(insert(deletions), rows)
    for row in rows:
        note(connection, "ended", deletion=row)


def deleted(connection: Connection, case_ids: Collection[str]) -> set[str]:
    """Return those of ``case_ids`` that were deleted or are being."""
    query = select(deletions.c.case_id).where(deletions.c.case_id.in_(case_ids))
    return set(connection.scalars(query))


def with_keys(connection: Connection, case_ids: Collection[str]) -> set[str]:
    """Return those of ``case_ids`` that have a key: nobody can read a case without."""
    query = select(case_keys.c.case_id).where(case_keys.c.case_id.in_(case_ids)).distinct()
    return set(connection.scalars(query))


def coming(connection: Connection, case_ids: Collection[str]) -> set[str]:
    """Return those of ``case_ids`` whose key was made and whose submission was not read yet."""
    if not case_ids:
        return set()
    known = connection.scalars(select(cases.c.case_id).where(cases.c.case_id.in_(case_ids)))
    return with_keys(connection, case_ids) - set(known) - deleted(connection, case_ids)


_CLAIMED = select(holds.c.case_id).where(holds.c.case_id == cases.c.case_id).exists()
_FREE = cases.c.held.is_(None)
_MAY_END = _FREE, ~_CLAIMED


def _change(connection: Connection, changed: Sequence[Case], names: Sequence[str]) -> None:
    if changed:
        connection.execute(
            update(cases)
            .where(cases.c.case_id == bindparam("_case"))
            .values({name: bindparam(name, type_=cases.c[name].type) for name in names}),
            [
                {"_case": each.case_id, **{name: getattr(each, name) for name in names}}
                for each in changed
            ],
        )


def _due(at: int) -> Sequence[Any]:
    return cases.c.due_at.is_not(None), cases.c.due_at <= at, *_MAY_END


def _group(service: str, group_id: str, state: CaseState) -> tuple[Any, Any, Any]:
    return cases.c.service == service, cases.c.group_id == group_id, cases.c.state == state


def _locked(connection: Connection, *where: Any, limit: int | None = None) -> list[Case]:
    query: Select[Any] = select(cases).where(*where).limit(limit).with_for_update()
    if limit is None:
        query = query.order_by(cases.c.case_id)  # in one order for everybody
    return [_case(row) for row in connection.execute(query).mappings()]


def _case(row: Mapping[Any, Any]) -> Case:
    return Case(**{**row, "state": CaseState(row["state"])})
