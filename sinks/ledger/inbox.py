"""How far each reader has come, so that a message delivered again changes nothing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from sinks.ledger.tables import positions
from sinks.ledger.upsert import insert


class Position(NamedTuple):
    """Where a message lies."""

    topic: str
    partition: int
    offset: int


def first(connection: Connection, reader: str, messages: Sequence[Position]) -> Sequence[bool]:
    """Tell which messages ``reader`` has not handled yet, and note that it now has.

    They lie in order, of as many partitions as may be. To be called first in the transaction of
    the effect: others that handle the same partition wait for its end, and if it fails, nothing
    was noted. False: leave the message be.
    """
    handled = {
        place: _take(connection, reader, *place, max(each.offset for each in group))
        for place, group in _by_place(messages).items()
    }
    return [each.offset > handled[each.topic, each.partition] for each in messages]


def stand_in_line(connection: Connection, reader: str) -> None:
    """Have others of a reader that has no topic wait here for the end of the transaction."""
    _take(connection, reader, reader, 0, -1)


def handled(connection: Connection, reader: str, topic: str, partition: int) -> int:
    """Return the last offset that a reader has handled of a partition; -1: none.

    Others that handle messages of it wait for the end of the transaction.
    """
    return _take(connection, reader, topic, partition, -1)


def mark(connection: Connection, what: str, name: str, number: int) -> None:
    """Keep a mark of the whole ledger among the positions, once: what it is of, and a number."""
    new = insert(connection, positions).values(reader=what, topic=name, partition=0, offset=number)
    connection.execute(new.on_conflict_do_nothing())


def is_marked(connection: Connection, what: str) -> bool:
    """Tell whether there is such a mark."""
    return bool(marks(connection, what))


def marks(connection: Connection, what: str) -> Mapping[str, int]:
    """Return the marks of a kind: names and numbers."""
    query = select(positions.c.topic, positions.c.offset).where(positions.c.reader == what)
    return {row.topic: row.offset for row in connection.execute(query)}


def unmark(connection: Connection, what: str) -> None:
    """Take marks away."""
    connection.execute(delete(positions).where(positions.c.reader == what))


def come_to(connection: Connection) -> Mapping[str, Mapping[tuple[str, int], int]]:
    """Return by reader how far it has come: the last offset handled, of each topic's partition."""
    found: dict[str, dict[tuple[str, int], int]] = {}
    for row in connection.execute(select(positions)):
        found.setdefault(row.reader, {})[row.topic, row.partition] = row.offset
    return found


def _take(connection: Connection, reader: str, topic: str, partition: int, offset: int) -> int:
    """Move a reader's position on to ``offset``, and return where it was; -1 at the beginning."""
    at = (
        positions.c.reader == reader,
        positions.c.topic == topic,
        positions.c.partition == partition,
    )
    new = insert(connection, positions).values(
        reader=reader, topic=topic, partition=partition, offset=-1
    )
    connection.execute(new.on_conflict_do_nothing())
    before: int = connection.scalars(select(positions.c.offset).where(*at).with_for_update()).one()
    connection.execute(
        update(positions).where(*at, positions.c.offset < offset).values(offset=offset)
    )
    return before


def _by_place(messages: Sequence[Position]) -> Mapping[tuple[str, int], list[Position]]:
    found: dict[tuple[str, int], list[Position]] = {}
    for each in sorted(messages):
        found.setdefault((each.topic, each.partition), []).append(each)
    return found
