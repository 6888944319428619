"""What became of each event at each provider, so that at most one call for it takes effect."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text, delete, func, literal, select, update

from privacy.outcome import Reason
from sinks.ledger.tables import deliveries
from sinks.ledger.upsert import insert


class State(StrEnum):
    """Where an event stands with a provider."""

    CLAIMED = "claimed"  # a dispatcher is about to send it, or died doing so
    RELEASED = "released"  # surely not sent: may be claimed again
    ACCEPTED = "accepted"  # taken, judged later: the ticket asks
    DELIVERED = "delivered"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"  # it may have been taken; not sent again
    DROPPED = "dropped"  # not to be sent, for a reason of ours


OPEN = (State.CLAIMED, State.ACCEPTED)

_AT_ONCE = 10_000  # of the 32,766 values that a statement of SQLite may have


class Finish(NamedTuple):
    """What became of one event. ``ticket`` is the provider's name for an ACCEPTED request.

    ``begun_at`` is when the first byte of the last request with it was written, in milliseconds
    since 1970: the proof that it was before a withdrawal was effective. None: none was.
    """

    event_id: str
    state: State
    reason: Reason | None = None
    ticket: str | None = None
    begun_at: int | None = None


class Open(NamedTuple):
    """An event whose fate is not known: CLAIMED, or ACCEPTED under a ticket."""

    event_id: str
    site: str
    state: State
    ticket: str | None
    at: int


class Kind(NamedTuple):
    """What deliveries are counted by."""

    provider: str
    site: str
    state: State
    reason: Reason | None


def claim(
    connection: Connection,
    provider: str,
    partition: int,
    events: Iterable[tuple[str, str]],
    at: int,
) -> set[str]:
    """Claim events, as (event id, site), and return the ids of those that are now the caller's.

    The others were claimed before, by whomever. To be committed before anything is sent. Also an
    event that is then dropped is claimed first, so that it is counted once. ``at`` in milliseconds
    since 1970.
    """
    rows = [
        {
            "provider": provider,
            "event_id": event_id,
            "partition": partition,
            "site": site,
            "state": State.CLAIMED,
            "at": at,
            "tries": 1,
        }
        # In one order for everybody: two that claim the same would wait for each other.
        for event_id, site in sorted(dict(events).items())
    ]
    if not rows:
        return set()
    new = insert(connection, deliveries)
    claimed = new.on_conflict_do_update(
        index_elements=list(deliveries.primary_key),
        set_={"state": State.CLAIMED, "at": at, "tries": deliveries.c.tries + 1},
        where=deliveries.c.state == State.RELEASED,
    )
    return set(connection.scalars(claimed.returning(deliveries.c.event_id), rows))


def finish(connection: Connection, provider: str, results: Iterable[Finish], at: int) -> None:
    """Record what became of claimed events. What is final stays as it is.

    ACCEPTED and UNCERTAIN are not: the provider may tell more later. Nor is RELEASED: where an
    event may be sent again, another may have taken it over and be done when its first claimer, who
    was stopped, says that it sent nothing.
    """
    _set(connection, provider, results, at, (*OPEN, State.UNCERTAIN, State.RELEASED))


def release(connection: Connection, provider: str, event_ids: Iterable[str], at: int) -> None:
    """Let claimed events be claimed again. They must surely not have been taken."""
    results = (Finish(each, State.RELEASED) for each in event_ids)
    _set(connection, provider, results, at, (State.CLAIMED,))


def states(
    connection: Connection, provider: str, event_ids: Collection[str]
) -> Mapping[str, State]:
    """Return where events stand that are known."""
    query = select(deliveries.c.event_id, deliveries.c.state).where(
        deliveries.c.provider == provider, deliveries.c.event_id.in_(event_ids)
    )
    return {event_id: State(state) for event_id, state in connection.execute(query)}


def unfinished(
    connection: Connection, provider: str, partition: int, states: Sequence[State] = OPEN
) -> list[Open]:
    """Return a partition's open events, in these states.

    To who has just taken the partition over, CLAIMED ones are those its former dispatcher died
    with: each may or may not have been sent.
    """
    query = select(
        deliveries.c.event_id,
        deliveries.c.site,
        deliveries.c.state,
        deliveries.c.ticket,
        deliveries.c.at,
    ).where(
        deliveries.c.provider == provider,
        deliveries.c.partition == partition,
        # Written out, or SQLite would not see that the index is of just these.
        deliveries.c.state.in_([literal(each, Text, literal_execute=True) for each in states]),
    )
    return [
        Open(row.event_id, row.site, State(row.state), row.ticket, row.at)
        for row in connection.execute(query.order_by(deliveries.c.at, deliveries.c.event_id))
    ]


def counts(connection: Connection) -> Counter[Kind]:
    """Return how many events stand where."""
    columns = (deliveries.c.provider, deliveries.c.site, deliveries.c.state, deliveries.c.reason)
    return Counter(
        {
            Kind(provider, site, State(state), Reason(reason) if reason else None): count
            for provider, site, state, reason, count in connection.execute(
                select(*columns, func.count()).group_by(*columns)
            )
        }
    )


def forget(connection: Connection, before: int) -> int:
    """Delete what was finished before a time, and return how many.

    No event that can still be read from its topic may be among them: it would be sent again.
    """
    old = delete(deliveries).where(deliveries.c.at < before, deliveries.c.state.not_in(OPEN))
    return connection.execute(old).rowcount


def _set(
    connection: Connection,
    provider: str,
    results: Iterable[Finish],
    at: int,
    allowed: tuple[State, ...],
) -> None:
    # What went in one request mostly ends alike: one statement for each way to end.
    alike: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for event_id, *end in results:
        alike[tuple(end)].append(event_id)
    for (state, reason, ticket, begun_at), event_ids in alike.items():
        begun = deliveries.c.begun_at if begun_at is None else begun_at
        for start in range(0, len(event_ids), _AT_ONCE):
            connection.execute(
                update(deliveries)
                .where(
                    deliveries.c.provider == provider,
                    deliveries.c.event_id.in_(event_ids[start : start + _AT_ONCE]),
                    deliveries.c.state.in_(allowed),
                )
                .values(state=state, reason=reason, ticket=ticket, begun_at=begun, at=at)
            )
