"""Demands: what holders outside are asked to do for a request, and what they answered (S18 to S21).

A demand has a key of its own, under its own id: for the holders that may open it and the rights
engine. It goes with the contents when all is done. Times are milliseconds since 1970; ids are about
a thousand at most.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, or_, select, update

from privacy.certificate import Outcome
from sinks.ledger import keys
from sinks.ledger.deletion import DONE, Late, counted, waited_for
from sinks.ledger.journal import note
from sinks.ledger.tables import demand_answers, demands, requests
from sinks.ledger.upsert import insert


class Kind(StrEnum):
    """What is asked for."""

    CORRECTION = "correction"
    HOLD = "hold"
    LIFT = "lift"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Demand:
    """One demand, of one case."""

    demand_id: str
    request_id: str
    kind: Kind
    case_id: str
    service: str
    holders: Sequence[str]
    requested_at: int
    deadline: int
    completed_at: int | None = None
    shredded_at: int | None = None


@dataclass(frozen=True, slots=True)
class HolderAnswer:
    """What a holder said, at ``at`` by its clock; of an export what it holds, sealed."""

    demand_id: str
    holder: str
    outcome: Outcome
    at: int
    content: bytes | None = field(repr=False)


def add(connection: Connection, new: Sequence[Demand]) -> None:
    """Keep demands; those that are there stay as they are."""
    if new:
        kept = insert(connection, demands).on_conflict_do_nothing()
        connection.execute(kept, [asdict(each) for each in new])


def asked(connection: Connection, demand_ids: Collection[str]) -> dict[str, Demand]:
    """Return demands by id, and have others who would complete them wait for our end."""
    query = select(demands).where(demands.c.demand_id.in_(demand_ids))
    ordered = query.order_by(demands.c.demand_id).with_for_update()  # in one order for everybody
    return {row["demand_id"]: _demand(row) for row in connection.execute(ordered).mappings()}


def receive(
    connection: Connection, new: Sequence[tuple[str, str, Outcome, int, bytes | None]]
) -> None:
    """Keep answers: demand, holder, outcome, time, content.

    What is done stays done: a holder that answers again, whatever, changes nothing.
    """
    if not new:
        return
    told = insert(connection, demand_answers)
    failed = demand_answers.c.outcome == Outcome.FAILED
    kept = told.on_conflict_do_update(
        index_elements=list(demand_answers.primary_key),
        set_={name: told.excluded[name] for name in ("outcome", "at", "content")},
        where=failed & (told.excluded.outcome != Outcome.FAILED),
    )
    connection.execute(kept, [dict(zip(HolderAnswer.__slots__, row, strict=True)) for row in new])


def complete(connection: Connection, demand_ids: Collection[str], at: int) -> list[str]:
    """Note of demands that every holder has done its part; return those that is new for."""
    waiting = {
        name: each for name, each in asked(connection, demand_ids).items() if not each.completed_at
    }
    said = answers_of(connection, waiting.keys())
    done = [name for name, each in waiting.items() if not missing(each, said[name])]
    _note(connection, done, "completed_at", at)
    return done


def missing(demand: Demand, said: Sequence[HolderAnswer]) -> list[str]:
    """Return the holders that have not done their part."""
    done = {each.holder for each in said if each.outcome in DONE}
    return [each for each in demand.holders if each not in done]


def late(connection: Connection, at: int) -> list[Late]:
    """Return which holders are waited for past deadlines, by name."""
    theirs = demand_answers.c.demand_id == demands.c.demand_id, demand_answers.c.outcome.in_(DONE)
    query = (
        select(demands.c.demand_id, demands.c.holders, demands.c.deadline, demand_answers.c.holder)
        .outerjoin(demand_answers, and_(*theirs))
        .where(demands.c.completed_at.is_(None), demands.c.deadline < at)
    )
    return counted(waited_for((*row,) for row in connection.execute(query)))


def of_request(connection: Connection, request_id: str) -> list[Demand]:
    """Return a request's demands, the oldest first."""
    return _demands(connection, demands.c.request_id == request_id, order=demands.c.requested_at)


def answers_of(
    connection: Connection, demand_ids: Collection[str]
) -> Mapping[str, Sequence[HolderAnswer]]:
    """Return what holders said, by demand."""
    found: dict[str, list[HolderAnswer]] = {each: [] for each in demand_ids}
    query = select(demand_answers).where(demand_answers.c.demand_id.in_(demand_ids))
    for row in connection.execute(query.order_by(demand_answers.c.holder)):
        answer = HolderAnswer(**{**row._mapping, "outcome": Outcome(row.outcome)})  # noqa: SLF001 - not private
        found[row.demand_id].append(answer)
    return found


def to_shred(connection: Connection, before: int, lapsed: int, limit: int = 1_000) -> list[str]:
    """Return demands that were completed before a time, of requests that are answered.

    Also those that were asked for before ``lapsed``, and that no holder can read any more. Their
    keys and contents are still there.
    """
    answered = (
        select(requests.c.request_id)
        .where(requests.c.request_id == demands.c.request_id, requests.c.answered_at.is_not(None))
        .exists()
    )
    # Each way with all that is asked, so that each has its index.
    kept = demands.c.shredded_at.is_(None)
    done = (kept, demands.c.completed_at.is_not(None), demands.c.completed_at < before, answered)
    late = (kept, demands.c.completed_at.is_(None), demands.c.requested_at < lapsed)
    query = select(demands.c.demand_id).where(or_(and_(*done), and_(*late)))
    return list(connection.scalars(query.limit(limit)))


def shred(connection: Connection, demand_ids: Collection[str], at: int) -> None:
    """Delete keys and contents of demands. Gone for good after ``Ledger.checkpoint``."""
    if demand_ids:
        keys.shred(connection, demand_ids)
        note(connection, "demanded", ids=sorted(demand_ids), when=at)
        some = demands.c.demand_id.in_(demand_ids)
        connection.execute(update(demands).where(some).values(shredded_at=at))
        theirs = demand_answers.c.demand_id.in_(demand_ids)
        connection.execute(update(demand_answers).where(theirs).values(content=None))


def _note(connection: Connection, demand_ids: Collection[str], step: str, at: int) -> None:
    if demand_ids:
        new = demands.c.demand_id.in_(demand_ids), demands.c[step].is_(None)
        connection.execute(update(demands).where(*new).values({step: at}))


def _demands(
    connection: Connection, *where: Any, order: Any, limit: int | None = None
) -> list[Demand]:
    query = select(demands).where(*where).order_by(order, demands.c.demand_id).limit(limit)
    return [_demand(row) for row in connection.execute(query).mappings()]


def _demand(row: Mapping[Any, Any]) -> Demand:
    return Demand(**{**row, "kind": Kind(row["kind"])})
