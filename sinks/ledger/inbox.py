"""How far each reader has come, so that a message delivered again changes nothing."""

from typing import NamedTuple

from sqlalchemy import Connection

from sinks.ledger.tables import positions
from sinks.ledger.upsert import insert


class Position(NamedTuple):
    """Where a message lies."""

    topic: str
    partition: int
    offset: int


def first(connection: Connection, reader: str, position: Position) -> bool:
    """Tell whether ``reader`` has not handled this message yet, and note that it now has.

    To be called first in the transaction of the effect: others that handle the same partition
    wait for its end, and if it fails, nothing was noted. False: leave the message be.
    """
    new = insert(connection, positions).values(reader=reader, **position._asdict())
    moved = new.on_conflict_do_update(
        index_elements=list(positions.primary_key),
        set_={"offset": new.excluded.offset},
        where=positions.c.offset < new.excluded.offset,
    ).returning(positions.c.offset)
    return connection.execute(moved).first() is not None
