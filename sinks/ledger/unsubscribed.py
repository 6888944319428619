"""Who unsubscribed from which mailing list, by subject id (S5). Outlives the subscription.

An import of addresses is held against it; a subscription of one's own, made later, lifts it.
Times are milliseconds since 1970.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, delete, func, select

from privacy.lifecycle import CaseState
from sinks.ledger.journal import note
from sinks.ledger.tables import cases, unsubscribed
from sinks.ledger.upsert import insert


def add(connection: Connection, list_: str, subject: str, at: int) -> None:
    """Keep that a person unsubscribed; of two times the later."""
    note(connection, "unsubscribed", list=list_, subject=subject, when=at)
    new = insert(connection, unsubscribed).values(list=list_, subject=subject, at=at)
    connection.execute(
        new.on_conflict_do_update(
            index_elements=list(unsubscribed.primary_key),
            set_={"at": new.excluded.at},
            where=unsubscribed.c.at < new.excluded.at,
        )
    )


def lift(connection: Connection, list_: str, subject: str, received_at: int) -> bool:
    """Let a subscription received then count, and forget an older opt-out; False: one is newer."""
    mine = (unsubscribed.c.list == list_, unsubscribed.c.subject == subject)
    connection.execute(delete(unsubscribed).where(*mine, unsubscribed.c.at < received_at))
    return connection.execute(select(unsubscribed.c.at).where(*mine)).first() is None


def among(connection: Connection, list_: str, subjects: Collection[str]) -> set[str]:
    """Return those of about a thousand subjects who unsubscribed from a list."""
    query = select(unsubscribed.c.subject).where(
        unsubscribed.c.list == list_, unsubscribed.c.subject.in_(subjects)
    )
    return set(connection.scalars(query))


def of_subject(connection: Connection, subject: str) -> Mapping[str, int]:
    """Return the lists a person unsubscribed from, and when (S17)."""
    mine = select(unsubscribed.c.list, unsubscribed.c.at).where(unsubscribed.c.subject == subject)
    return {row.list: row.at for row in connection.execute(mine.order_by(unsubscribed.c.list))}


def count(connection: Connection) -> Mapping[str, int]:
    """Return how many unsubscribed, by list."""
    query = select(unsubscribed.c.list, func.count().label("people")).group_by(unsubscribed.c.list)
    return {row.list: row.people for row in connection.execute(query)}


def count_subscribed(connection: Connection, services: Collection[str]) -> int:
    """Return how many people have a subscription of one of these services."""
    query = select(func.count(cases.c.subject.distinct())).where(
        cases.c.service.in_(services), cases.c.state == CaseState.OPEN
    )
    return connection.scalar(query) or 0
