"""Wrapped keys of cases, and who asked for which (S2). Times are milliseconds since 1970.

Requests of a person's rights, and demands on holders outside, have keys of the same kind, under
their own ids (S17 to S21).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from sqlalchemy import Connection, bindparam, delete, or_, select, text, update

from sinks.ledger.journal import note
from sinks.ledger.tables import case_keys, cases, deletions, demands, key_uses, requests
from sinks.ledger.upsert import insert

GIVEN, REFUSED = "given", "refused"


@dataclass(frozen=True, slots=True)
class Use:
    """That a department asked for the key of a case, and whether it was given."""

    case_id: str
    department: str
    at: int
    outcome: str


class Kind(StrEnum):
    """What a key is of."""

    CASE = "case"
    REQUEST = "request"
    DEMAND = "demand"


@dataclass(frozen=True, slots=True)
class Owner:
    """What a key is of: a case of a service, a request, or a demand on holders.

    ``held``: the case is under a restriction, and the rights engine alone may open it.
    """

    kind: Kind
    service: str | None = None
    held: bool = False
    holders: Sequence[str] = ()


# A key whose owner is here, and not done with.
_CAME = or_(
    select(cases.c.case_id).where(cases.c.case_id == case_keys.c.case_id).exists(),
    select(requests.c.request_id)
    .where(requests.c.request_id == case_keys.c.case_id, requests.c.closed_at.is_(None))
    .exists(),
    select(demands.c.demand_id)
    .where(demands.c.demand_id == case_keys.c.case_id, demands.c.shredded_at.is_(None))
    .exists(),
)


def share(connection: Connection) -> None:
    """Have ``stand_alone`` wait for the end of this transaction. SQLite's writers do anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE case_keys IN ROW EXCLUSIVE MODE"))


def stand_alone(connection: Connection) -> None:
    """Wait for the end of every transaction that has called ``share``, and hold up new ones."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE case_keys IN SHARE ROW EXCLUSIVE MODE"))


def add(connection: Connection, case_id: str, wrapped: Mapping[str, bytes], at: int) -> bool:
    """Keep a case's key as wrapped for each department; False: it has one, which stays.

    The first department must be the same each time: of two that add at once, it lets one wait.
    """
    rows = [
        {"case_id": case_id, "department": department, "wrapped": each, "made_at": at}
        for department, each in wrapped.items()
    ]
    first = insert(connection, case_keys).values(rows[0]).on_conflict_do_nothing()
    if connection.execute(first.returning(case_keys.c.case_id)).first() is None:
        return False
    if rows[1:]:
        connection.execute(insert(connection, case_keys), rows[1:])
    return True


def is_deleted(connection: Connection, case_id: str) -> bool:
    """Tell whether a case was deleted, or is being."""
    query = select(deletions.c.case_id).where(deletions.c.case_id == case_id)
    return connection.execute(query).first() is not None


def wrapped_for(
    connection: Connection, department: str, case_ids: Collection[str]
) -> dict[str, bytes]:
    """Return the keys of about a thousand cases as wrapped for a department."""
    query = select(case_keys.c.case_id, case_keys.c.wrapped).where(
        case_keys.c.department == department, case_keys.c.case_id.in_(case_ids)
    )
    return {row.case_id: bytes(row.wrapped) for row in connection.execute(query)}


def owners_of(connection: Connection, ids: Collection[str]) -> dict[str, Owner]:
    """Return what those of about a thousand ids are that have a key and are here."""
    some = select(case_keys.c.case_id).where(case_keys.c.case_id.in_(ids))
    with_key = list(connection.scalars(some.distinct()))
    known = select(cases.c.case_id, cases.c.service, cases.c.held)
    found = {
        row.case_id: Owner(Kind.CASE, service=row.service, held=row.held is not None)
        for row in connection.execute(known.where(cases.c.case_id.in_(with_key)))
    }
    asked = select(requests.c.request_id).where(requests.c.request_id.in_(with_key))
    found |= dict.fromkeys(connection.scalars(asked), Owner(Kind.REQUEST))
    demanded = select(demands.c.demand_id, demands.c.service, demands.c.holders)
    return found | {
        row.demand_id: Owner(Kind.DEMAND, service=row.service, holders=row.holders)
        for row in connection.execute(demanded.where(demands.c.demand_id.in_(with_key)))
    }


def after(
    connection: Connection, department: str, case_id: str, limit: int
) -> Sequence[tuple[str, bytes]]:
    """Return up to ``limit`` of a department's wrapped keys, of cases behind ``case_id``."""
    query = (
        select(case_keys.c.case_id, case_keys.c.wrapped)
        .where(case_keys.c.department == department, case_keys.c.case_id > case_id)
        .order_by(case_keys.c.case_id)
        .limit(limit)
    )
    return [(row.case_id, bytes(row.wrapped)) for row in connection.execute(query)]


def rewrap(connection: Connection, department: str, wrapped: Mapping[str, bytes]) -> None:
    """Keep keys as wrapped anew, of those cases that still have one."""
    if wrapped:
        connection.execute(
            update(case_keys)
            .where(case_keys.c.case_id == bindparam("_case"), case_keys.c.department == department)
            .values(wrapped=bindparam("_wrapped")),
            [{"_case": case_id, "_wrapped": each} for case_id, each in wrapped.items()],
        )


def shred(connection: Connection, case_ids: Collection[str]) -> None:
    """Delete the keys of about a thousand cases. Gone for good after ``Ledger.checkpoint``."""
    if case_ids:
        note(connection, "shredded", ids=sorted(case_ids))
    connection.execute(delete(case_keys).where(case_keys.c.case_id.in_(case_ids)))


def orphans(connection: Connection, since: int, before: int, limit: int) -> list[str]:
    """Return up to ``limit`` ids whose key was made in that time, and that nothing here has.

    They never came, or came again when they were done with.
    """
    made = case_keys.c.made_at >= since, case_keys.c.made_at < before
    query = select(case_keys.c.case_id).where(*made, ~_CAME)
    return list(connection.scalars(query.distinct().limit(limit)))


def shred_orphans(connection: Connection, case_ids: Collection[str]) -> None:
    """Delete the keys of those of about a thousand ids that still nothing here has."""
    gone = delete(case_keys).where(case_keys.c.case_id.in_(case_ids), ~_CAME)
    if shredded := set(connection.scalars(gone.returning(case_keys.c.case_id))):
        note(connection, "shredded", ids=sorted(shredded))


def record_uses(connection: Connection, uses: Sequence[Use]) -> None:
    """Keep who asked for which key."""
    if uses:
        new = insert(connection, key_uses).on_conflict_do_nothing()
        connection.execute(new, [asdict(each) for each in uses])


def forget_uses(connection: Connection, before: int) -> None:
    """Forget who asked for keys before that time."""
    connection.execute(delete(key_uses).where(key_uses.c.at < before))


def uses_of(connection: Connection, case_id: str) -> list[Use]:
    """Return who asked for a case's key, the earliest first."""
    return uses_of_many(connection, [case_id])[case_id]


def uses_of_many(connection: Connection, case_ids: Collection[str]) -> dict[str, list[Use]]:
    """Return who asked for the keys of about a thousand cases, by case, the earliest first."""
    found: dict[str, list[Use]] = {each: [] for each in case_ids}
    query = select(key_uses).where(key_uses.c.case_id.in_(case_ids))
    ordered = query.order_by(key_uses.c.at, key_uses.c.department)
    for row in connection.execute(ordered).mappings():
        found[row["case_id"]].append(Use(**row))
    return found
