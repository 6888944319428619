"""What is to be done to a visitor's facts in ClickHouse (S20, S21), until it is.

The visitor is named here for as long as facts may still arrive, and no longer. Times are
milliseconds since 1970.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, select, update

from sinks.ledger.tables import visitor_facts
from sinks.ledger.upsert import insert

END = -1
"""The number of what ends a hold; its request is the hold's own."""


class FactsAct(StrEnum):
    """What is to be done."""

    ERASE = "erase"
    HOLD = "hold"
    RELEASE = "release"
    DISCARD = "discard"  # what a hold keeps, because its visitor is erased


@dataclass(frozen=True, slots=True)
class VisitorAct:
    """One act, by the step of a request that asks for it. A hold is named by its request."""

    request_id: str
    number: int
    act: FactsAct
    site: str
    visitor: str | None = field(repr=False)
    asked_at: int
    done_at: int | None = None


def ask(connection: Connection, new: VisitorAct) -> None:
    """Keep what is to be done, once. What ends a hold ends what was to be done for it."""
    if new.number == END:
        mine = visitor_facts.c.request_id == new.request_id
        connection.execute(delete(visitor_facts).where(mine, visitor_facts.c.number != END))
    connection.execute(
        insert(connection, visitor_facts).values(asdict(new)).on_conflict_do_nothing()
    )


def get(connection: Connection, request_id: str, number: int) -> VisitorAct | None:
    """Return what a step asked for; None: nothing, or it was forgotten."""
    mine = visitor_facts.c.request_id == request_id, visitor_facts.c.number == number
    row = connection.execute(select(visitor_facts).where(*mine)).mappings().first()
    return None if row is None else VisitorAct(**{**row, "act": FactsAct(row["act"])})


def to_do(connection: Connection, until: int, limit: int) -> list[VisitorAct]:
    """Return up to ``limit`` acts asked for until then that are not done, the oldest first."""
    query = select(visitor_facts).where(
        visitor_facts.c.done_at.is_(None), visitor_facts.c.asked_at <= until
    )
    return _acts(connection, query.order_by(visitor_facts.c.asked_at).limit(limit))


def all_done(connection: Connection) -> list[VisitorAct]:
    """Return what is done and not forgotten."""
    return _acts(connection, select(visitor_facts).where(visitor_facts.c.done_at.is_not(None)))


def done(connection: Connection, acts: Sequence[VisitorAct], at: int) -> None:
    """Note that acts are done."""
    if acts:
        connection.execute(
            update(visitor_facts)
            .where(
                visitor_facts.c.request_id == bindparam("_request"),
                visitor_facts.c.number == bindparam("_number"),
            )
            .values(done_at=at),
            [{"_request": each.request_id, "_number": each.number} for each in acts],
        )


def forget(connection: Connection, before: int) -> bool:
    """Forget the visitors of what was asked for before then and is done; tell if there were any."""
    old = visitor_facts.c.done_at.is_not(None), visitor_facts.c.asked_at < before
    return bool(connection.execute(delete(visitor_facts).where(*old)).rowcount)


def _acts(connection: Connection, query: Select[Any]) -> list[VisitorAct]:
    rows = connection.execute(query).mappings()
    return [VisitorAct(**{**row, "act": FactsAct(row["act"])}) for row in rows]
