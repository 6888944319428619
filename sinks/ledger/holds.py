"""Holds: restrictions of a person (Art. 18 GDPR, S21) and claims on a case (Art. 17(3)(e)).

A case under a restriction carries its id in ``held``, and nothing finds it but what asks for it. A
service event that comes meanwhile waits in ``deferred``, in order. A claim keeps its case from its
end alone. Times are milliseconds since 1970; ids are about a thousand at most.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from privacy.lifecycle import CaseState
from sinks.ledger import people, tables, upsert
from sinks.ledger.journal import note, of_visitor
from sinks.ledger.tables import cases, holds

_DEFERRED = tables.deferred


class Kind(StrEnum):
    """What a hold keeps from: everything but storage, or the end alone."""

    RESTRICTION = "restriction"
    CLAIM = "claim"


class Whose(StrEnum):
    """Whom or what a hold is of."""

    SUBJECT = "subject"
    VISITOR = "visitor"
    CASE = "case"


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold: of a ``subject``, of the ``visitor`` of a ``site``, or of one case.

    ``hold_id`` of a restriction is the request's id; who gave both an address and a cookie has two
    holds of that id, each lifted by itself.
    """

    hold_id: str
    kind: Kind
    subject: str | None = field(repr=False)
    site: str | None
    visitor: str | None = field(repr=False)
    case_id: str | None
    ground: str
    since: int

    @property
    def whose(self) -> Whose:
        """Return whom or what it is of."""
        if self.case_id is not None:
            return Whose.CASE
        return Whose.SUBJECT if self.visitor is None else Whose.VISITOR


def place(connection: Connection, new: Hold) -> bool:
    """Keep a hold; False: it was placed before."""
    if new.subject is not None:
        people.stand_alone(connection)
    row = asdict(new) | {"whose": new.whose}
    who = of_visitor(new.site or "", new.visitor) if new.visitor is not None else None
    note(connection, "held", hold=row | {"visitor": who})
    first = upsert.insert(connection, holds).values(row).on_conflict_do_nothing()
    return connection.execute(first.returning(holds.c.hold_id)).first() is not None


def lift(connection: Connection, hold_id: str, whose: Whose) -> bool:
    """Take a hold away; False: there is none. Cases are released with ``release_cases``."""
    mine = holds.c.hold_id == hold_id, holds.c.whose == whose
    note(connection, "lifted", hold_id=hold_id, whose=whose)
    return bool(connection.execute(delete(holds).where(*mine)).rowcount)


def of_subject(connection: Connection, subjects: Collection[str]) -> dict[str, list[Hold]]:
    """Return the restrictions of those of ``subjects`` that have any, the oldest first."""
    found: dict[str, list[Hold]] = {}
    for each in _holds(connection, holds.c.subject.in_(subjects)):
        found.setdefault(each.subject or "", []).append(each)
    return found


def of_visitors(
    connection: Connection, site: str, visitors: Collection[str]
) -> dict[str, list[Hold]]:
    """Return the restrictions of those of a site's ``visitors`` that have any, likewise."""
    found: dict[str, list[Hold]] = {}
    for each in _holds(connection, holds.c.site == site, holds.c.visitor.in_(visitors)):
        found.setdefault(each.visitor or "", []).append(each)
    return found


def all(connection: Connection) -> list[Hold]:  # noqa: A001 - read as holds.all
    """Return all holds, the oldest first."""
    return _holds(connection)


def restrictions(connection: Connection, hold_ids: Collection[str]) -> set[str]:
    """Return those of ``hold_ids`` that are restrictions in force."""
    mine = holds.c.hold_id.in_(hold_ids), holds.c.kind == Kind.RESTRICTION
    return set(connection.scalars(select(holds.c.hold_id).where(*mine)))


def claims(connection: Connection, case_ids: Collection[str]) -> set[str]:
    """Return those of ``case_ids`` that a claim keeps."""
    mine = holds.c.case_id.in_(case_ids), holds.c.kind == Kind.CLAIM
    return set(connection.scalars(select(holds.c.case_id).where(*mine)))


def hold_cases(connection: Connection, subject: str, hold_id: str) -> list[str]:
    """Hold the cases of a person that are not over; return those that were free before."""
    free = cases.c.subject == subject, cases.c.state != CaseState.ENDED, cases.c.held.is_(None)
    _lock(connection, *free)
    held = update(cases).where(*free).values(held=hold_id).returning(cases.c.case_id)
    return sorted(connection.scalars(held))


def release_cases(connection: Connection, hold_id: str) -> list[str]:
    """Take a hold from its cases, and return those that are free now.

    Called when it is lifted: those of a person under another restriction stay, under that.
    """
    mine = cases.c.held == hold_id
    _lock(connection, mine)
    people = select(cases.c.subject).where(mine, cases.c.subject.is_not(None)).distinct()
    subjects = list(connection.scalars(people))
    for subject, others in of_subject(connection, subjects).items():
        other = next((each.hold_id for each in others if each.hold_id != hold_id), None)
        if other is not None:
            moved = update(cases).where(mine, cases.c.subject == subject)
            connection.execute(moved.values(held=other))
    freed = update(cases).where(mine).values(held=None).returning(cases.c.case_id)
    return sorted(connection.scalars(freed))


def defer(connection: Connection, case_id: str, event: Mapping[str, str]) -> bool:
    """Have a service event of a case wait behind those that do; False: it does.

    The case must be locked.
    """
    if dict(event) in deferred(connection, [case_id]).get(case_id, []):
        return False
    last = select(func.max(_DEFERRED.c.number)).where(_DEFERRED.c.case_id == case_id)
    number = connection.scalar(last)
    row = {"case_id": case_id, "number": 0 if number is None else number + 1, "event": dict(event)}
    connection.execute(insert(_DEFERRED), [row])
    return True


def deferred(
    connection: Connection, case_ids: Collection[str]
) -> dict[str, list[Mapping[str, str]]]:
    """Return the events that wait, in order, by those of ``case_ids`` that have any."""
    query = select(_DEFERRED).where(_DEFERRED.c.case_id.in_(case_ids))
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in connection.execute(query.order_by(_DEFERRED.c.case_id, _DEFERRED.c.number)):
        found.setdefault(row.case_id, []).append(row.event)
    return found


def forget_deferred(connection: Connection, case_ids: Collection[str]) -> None:
    """Forget the events that waited: they are applied, or the cases are gone."""
    connection.execute(delete(_DEFERRED).where(_DEFERRED.c.case_id.in_(case_ids)))


def _lock(connection: Connection, *where: Any) -> None:
    """Lock cases in the order in which everybody does."""
    query = select(cases.c.case_id).where(*where).order_by(cases.c.case_id)
    connection.execute(query.with_for_update())


_HOLD = [holds.c[name] for name in Hold.__slots__]


def _holds(connection: Connection, *where: Any) -> list[Hold]:
    query = select(*_HOLD).where(*where).order_by(holds.c.since, holds.c.hold_id)
    rows = connection.execute(query).mappings()
    return [Hold(**{**row, "kind": Kind(row["kind"])}) for row in rows]
