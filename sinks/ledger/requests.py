"""What people ask of their rights: each request, its plan step by step, and its end (S17 to S24).

    unconfirmed  who asks has still to show who they are
    confirmed    to be planned
    planned      its commands are done in order, each noted
    answered     the last command is done; the letters wait to be fetched
    closed       its key is shredded; what stays tells what was done and when, and of nobody

Times are milliseconds since 1970; ids are about a thousand at most.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from sinks.ledger import keys
from sinks.ledger.journal import note
from sinks.ledger.tables import holds, request_commands, requests
from sinks.ledger.upsert import insert


class State(StrEnum):
    """Where a request stands."""

    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    PLANNED = "planned"
    ANSWERED = "answered"
    CLOSED = "closed"


_UNPLANNED = (State.UNCONFIRMED, State.CONFIRMED)
_GOING_ON = (State.CONFIRMED, State.PLANNED)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``sealed`` is what was asked, under the key of the request's id.

    ``confirmed_by`` is the link, the cookie, or which operator; ``refused`` pairs a service, or ""
    for all, with the reason. At ``due_at`` it is to be looked at next; None: whenever.
    """

    request_id: str
    right: str
    ground: str | None
    site: str
    language: str
    subject: str | None = field(repr=False)
    has_visitor: bool
    state: State
    received_at: int
    deadline: int
    sealed: bytes | None = field(repr=False)
    confirmed_at: int | None = None
    confirmed_by: str | None = None
    extended_because: str | None = None
    planned_at: int | None = None
    verdict: str | None = None
    refused: Sequence[tuple[str, str]] | None = None
    answered_at: int | None = None
    closed_at: int | None = None
    due_at: int | None = None
    policy_version: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a plan. ``outcome``: a few words for the audit, of nobody in particular."""

    number: int
    act: str
    target: str
    done_at: int | None
    outcome: str | None


def add(connection: Connection, new: Request) -> bool:
    """Keep a request; False: it is known, and stays as it is."""
    row = asdict(new) | {"has_visitor": int(new.has_visitor)}
    first = insert(connection, requests).on_conflict_do_nothing()
    return connection.execute(first.returning(requests.c.request_id), row).first() is not None


def get(connection: Connection, request_id: str) -> Request | None:
    """Return a request."""
    return next(iter(_requests(connection, requests.c.request_id == request_id)), None)


def lock(connection: Connection, request_ids: Collection[str]) -> dict[str, Request]:
    """Return requests by id, and have others who would change them wait for our end."""
    query = select(requests).where(requests.c.request_id.in_(request_ids))
    ordered = query.order_by(requests.c.request_id).with_for_update()  # in one order for everybody
    return {row["request_id"]: _request(row) for row in connection.execute(ordered).mappings()}


def confirm(connection: Connection, request_id: str, at: int, by: str, deadline: int) -> bool:
    """Note that who asks has shown who they are; False: that was known, or it is too late."""
    given = {"_id": request_id, "_at": at, "_by": by, "_deadline": deadline}
    return bool(connection.execute(_CONFIRM, given).rowcount)


def ready(connection: Connection, at: int, limit: int) -> list[str]:
    """Return up to ``limit`` requests that can be gone on with, the oldest first."""
    return _waiting(connection, _GOING_ON, at, limit, also_undated=True)


def unconfirmed(connection: Connection, at: int, limit: int) -> list[str]:
    """Return up to ``limit`` requests nobody has confirmed by when they had to (``due_at``)."""
    return _waiting(connection, (State.UNCONFIRMED,), at, limit, also_undated=False)


def put_plan(  # noqa: PLR0917 - what a plan is, in the order it is read
    connection: Connection,
    request_id: str,
    commands: Sequence[tuple[str, str]],
    verdict: str,
    refused: Sequence[tuple[str, str]],
    at: int,
    policy_version: str,
) -> bool:
    """Keep what is decided and the commands, each an act with its target; False: it is planned.

    Also a request that nobody confirmed is, to be refused.
    """
    planned = {
        "_id": request_id,
        "_at": at,
        "_verdict": verdict,
        "_refused": [list(each) for each in refused],
        "_policy": policy_version,
    }
    if not connection.execute(_PLAN, planned).rowcount:
        return False
    if commands:
        connection.execute(
            _COMMANDS,
            [
                {"request_id": request_id, "number": number, "act": act, "target": target}
                for number, (act, target) in enumerate(commands)
            ],
        )
    return True


def steps(connection: Connection, request_id: str) -> list[Step]:
    """Return a request's plan, in order."""
    mine = select(*_STEP).where(request_commands.c.request_id == request_id)
    return [Step(*row) for row in connection.execute(mine.order_by(request_commands.c.number))]


def next_steps(connection: Connection, request_ids: Collection[str]) -> dict[str, Step | None]:
    """Return the first step of each request that is not done; None: all are."""
    table = request_commands.c
    first = (
        select(table.request_id, func.min(table.number).label("number"))
        .where(table.request_id.in_(request_ids), table.done_at.is_(None))
        .group_by(table.request_id)
        .subquery()
    )
    both = (table.request_id == first.c.request_id) & (table.number == first.c.number)
    found: dict[str, Step | None] = dict.fromkeys(request_ids)
    rows = connection.execute(select(table.request_id, *_STEP).join(first, both))
    return found | {request_id: Step(*step) for request_id, *step in rows}


def done(connection: Connection, new: Sequence[tuple[str, int, str]], at: int) -> None:
    """Note that steps are done, as request, number and outcome; what was noted before stays."""
    if new:
        connection.execute(
            update(request_commands)
            .where(
                request_commands.c.request_id == bindparam("_id"),
                request_commands.c.number == bindparam("_number"),
                request_commands.c.done_at.is_(None),
            )
            .values(done_at=at, outcome=bindparam("_outcome")),
            [{"_id": each, "_number": number, "_outcome": said} for each, number, said in new],
        )


def later(connection: Connection, request_id: str, due_at: int) -> None:
    """Have a request be looked at again at ``due_at``."""
    connection.execute(_LATER, {"_id": request_id, "_due": due_at})


def answered(connection: Connection, request_ids: Collection[str], at: int) -> None:
    """Note that everything is done and said."""
    if request_ids:
        planned = requests.c.state == State.PLANNED
        _set(connection, request_ids, planned, state=State.ANSWERED, answered_at=at, due_at=None)


def over(connection: Connection, request_ids: Collection[str]) -> set[str]:
    """Return those of ``request_ids`` that are answered."""
    mine = requests.c.request_id.in_(request_ids), requests.c.answered_at.is_not(None)
    return set(connection.scalars(select(requests.c.request_id).where(*mine)))


def to_shred(connection: Connection, before: int, limit: int = 1_000) -> list[str]:
    """Return requests that were answered before a time and still have their key and content.

    Not a restriction in force: its subject is to be told before it is lifted (Art. 18(3)).
    """
    in_force = select(holds.c.hold_id).where(holds.c.hold_id == requests.c.request_id)
    query = select(requests.c.request_id).where(
        requests.c.answered_at < before,
        requests.c.answered_at.is_not(None),
        requests.c.closed_at.is_(None),
        ~in_force.exists(),
    )
    return list(connection.scalars(query.order_by(requests.c.answered_at).limit(limit)))


def close(connection: Connection, request_ids: Collection[str], at: int) -> None:
    """Delete keys and contents of requests. Gone for good after ``Ledger.checkpoint``.

    By the subject id their number is still counted (``count_recent``), until ``forget_subjects``.
    """
    if request_ids:
        keys.shred(connection, request_ids)
        note(connection, "closed", ids=sorted(request_ids), when=at)
        _set(connection, request_ids, state=State.CLOSED, closed_at=at, sealed=None, due_at=None)


def forget_subjects(connection: Connection, before: int) -> None:
    """Forget who sent the closed requests that were received before a time."""
    old = requests.c.subject.is_not(None), requests.c.received_at < before
    closed = update(requests).where(*old, requests.c.state == State.CLOSED)
    connection.execute(closed.values(subject=None))


def extend(connection: Connection, request_id: str, deadline: int, because: str) -> bool:
    """Move the deadline, once (Art. 12(3)); False: it was moved, or the request is answered."""
    moved = (
        update(requests)
        .where(
            requests.c.request_id == request_id,
            requests.c.answered_at.is_(None),
            requests.c.extended_because.is_(None),
        )
        .values(deadline=deadline, extended_because=because)
    )
    return bool(connection.execute(moved).rowcount)


def late(connection: Connection, at: int) -> list[Request]:
    """Return requests that should be answered by ``at`` and are not, the first deadline first."""
    where = requests.c.answered_at.is_(None), requests.c.deadline < at
    return _requests(connection, *where, order=requests.c.deadline)


def of_subject(connection: Connection, subject: str) -> list[Request]:
    """Return the requests of a person, the oldest first."""
    return _requests(connection, requests.c.subject == subject)


def all(  # noqa: A001 - read as requests.all
    connection: Connection, limit: int, state: State | None = None
) -> list[Request]:
    """Return up to ``limit`` requests, those received last first."""
    some = [] if state is None else [requests.c.state == state]
    return _requests(connection, *some, order=requests.c.received_at.desc(), limit=limit)


def count(connection: Connection) -> Mapping[State, int]:
    """Return how many requests are in each state."""
    query = select(requests.c.state, func.count().label("many")).group_by(requests.c.state)
    return {State(row.state): row.many for row in connection.execute(query)}


def count_recent(connection: Connection, subject: str, since: int, right: str | None = None) -> int:
    """Return how many requests, of one right if given, a person made since a time."""
    mine = [requests.c.subject == subject, requests.c.received_at >= since]
    if right is not None:
        mine.append(requests.c.right == right)
    return connection.scalar(select(func.count()).select_from(requests).where(*mine)) or 0


# Made once: of thousands a second, to put a statement together takes longest.
_THIS = requests.c.request_id == bindparam("_id")
_CONFIRM = (
    update(requests)
    .where(_THIS, requests.c.state == State.UNCONFIRMED)
    .values(
        state=State.CONFIRMED,
        confirmed_at=bindparam("_at"),
        confirmed_by=bindparam("_by"),
        deadline=bindparam("_deadline"),
        due_at=None,
    )
)
_PLAN = (
    update(requests)
    .where(_THIS, requests.c.state.in_(_UNPLANNED))
    .values(
        state=State.PLANNED,
        planned_at=bindparam("_at"),
        verdict=bindparam("_verdict"),
        refused=bindparam("_refused", type_=requests.c.refused.type),
        policy_version=bindparam("_policy"),
        due_at=None,
    )
)
_COMMANDS = request_commands.insert()
_LATER = update(requests).where(_THIS).values(due_at=bindparam("_due"))

_STEP = [request_commands.c[name] for name in Step.__slots__]


def _waiting(
    connection: Connection, states: Sequence[State], at: int, limit: int, *, also_undated: bool
) -> list[str]:
    # Each way an AND of its own: as an OR within one, the index would be of no use.
    due = [and_(requests.c.state.in_(states), requests.c.due_at <= at)]
    if also_undated:
        due.append(and_(requests.c.state.in_(states), requests.c.due_at.is_(None)))
    query = select(requests.c.request_id).where(or_(*due))
    oldest = query.order_by(requests.c.received_at, requests.c.request_id).limit(limit)
    return list(connection.scalars(oldest))


def _requests(
    connection: Connection,
    *where: Any,
    order: Any = requests.c.received_at,
    limit: int | None = None,
) -> list[Request]:
    query = select(requests).where(*where).order_by(order, requests.c.request_id).limit(limit)
    return [_request(row) for row in connection.execute(query).mappings()]


def _request(row: Mapping[Any, Any]) -> Request:
    refused = row["refused"] and [(what, reason) for what, reason in row["refused"]]
    read = {"state": State(row["state"]), "has_visitor": bool(row["has_visitor"])}
    return Request(**{**row, **read, "refused": refused})


def _set(connection: Connection, request_ids: Collection[str], *where: Any, **values: Any) -> None:
    some = requests.c.request_id.in_(request_ids)
    connection.execute(update(requests).where(some, *where).values(values))
