"""Who was erased when, by subject id (S20): what was received before that is no new submission.

A replay, a retry or a late form ends at once; what the person sends later counts. Times are
milliseconds since 1970.
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, select

from sinks.ledger import people
from sinks.ledger.journal import note
from sinks.ledger.tables import suppressed
from sinks.ledger.upsert import insert


class Erasure(NamedTuple):
    """When a person was erased, and by which request."""

    at: int
    request_id: str


def put(connection: Connection, subject: str, at: int, request_id: str) -> None:
    """Keep that a person was erased; of two times the later."""
    people.stand_alone(connection)
    note(connection, "erased", subject=subject, when=at, request_id=request_id)
    new = insert(connection, suppressed).values(subject=subject, at=at, request_id=request_id)
    connection.execute(
        new.on_conflict_do_update(
            index_elements=list(suppressed.primary_key),
            set_={name: new.excluded[name] for name in ("at", "request_id")},
            where=suppressed.c.at < new.excluded.at,
        )
    )


def of(connection: Connection, subjects: Collection[str]) -> dict[str, Erasure]:
    """Return the last erasure of those of about a thousand people that were erased."""
    query = select(suppressed).where(suppressed.c.subject.in_(subjects))
    return {row.subject: Erasure(row.at, row.request_id) for row in connection.execute(query)}
