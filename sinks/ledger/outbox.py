"""Messages written in the transaction of the effect, and sent afterwards.

What is sent but not yet marked when the process dies is sent again, under the same id. Whoever
reads a partition sends what came of it, so that the order is kept.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from sinks.ledger import inbox
from sinks.ledger.inbox import Position
from sinks.ledger.tables import outbox


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent to the topic ``target``; ``value`` None is a tombstone."""

    target: str
    key: bytes = field(repr=False)
    value: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that the broker has not acknowledged: the ``number``-th of its input."""

    reader: str
    source: Position
    number: int
    message: Message

    @property
    def id(self) -> str:
        """Return what is the same each time it is sent, and no other message's."""
        topic, partition, offset = self.source
        return f"{self.reader}/{topic}/{partition}/{offset}/{self.number}"


def put(connection: Connection, reader: str, source: Position, messages: Iterable[Message]) -> None:
    """Keep messages that handling ``source`` gave rise to, in order."""
    put_all(connection, reader, [(source, messages)])


def put_all(
    connection: Connection, reader: str, came: Iterable[tuple[Position, Iterable[Message]]]
) -> None:
    """Keep what came of each of several inputs, in one statement."""
    rows = [row for source, messages in came for row in _rows(reader, source, messages)]
    if rows:
        connection.execute(insert(outbox), rows)


def append(connection: Connection, reader: str, messages: Iterable[Message]) -> None:
    """Keep messages of a reader whose input is no topic, behind what it has kept before.

    They are ``pending`` under the reader's own name as the topic, partition 0. Others that append
    for the same reader wait for the end of the transaction.
    """
    inbox.stand_in_line(connection, reader)
    last = select(func.max(outbox.c.offset)).where(
        outbox.c.reader == reader, outbox.c.topic == reader
    )
    behind = connection.scalar(last)
    put(connection, reader, Position(reader, 0, 0 if behind is None else behind + 1), messages)


def unsent(connection: Connection, keys: Collection[bytes]) -> set[bytes]:
    """Return those of ``keys`` of which something waits, of any reader: a tombstone must be last.

    ``keys`` are as many as a statement may have, about a thousand.
    """
    return set(connection.scalars(select(outbox.c.key).where(outbox.c.key.in_(keys)).distinct()))


def waiting(connection: Connection, reader: str | None = None) -> int:
    """Return how many messages wait to be sent, of one reader or of all."""
    every = select(func.count()).select_from(outbox)
    mine = every if reader is None else every.where(outbox.c.reader == reader)
    return connection.scalar(mine) or 0


def pending(
    connection: Connection, reader: str, topic: str, partition: int, limit: int
) -> list[Pending]:
    """Return up to ``limit`` messages that came of a partition, in the order to send them."""
    found = connection.execute(
        select(outbox)
        .where(outbox.c.reader == reader, outbox.c.topic == topic, outbox.c.partition == partition)
        .order_by(outbox.c.offset, outbox.c.number)
        .limit(limit)
    )
    return [
        Pending(
            reader,
            Position(topic, partition, row.offset),
            row.number,
            Message(row.target, row.key, row.value),
        )
        for row in found
    ]


def sent(connection: Connection, messages: Sequence[Pending]) -> bool:
    """Forget messages that the broker has acknowledged.

    Tell whether they were there still. If not, somebody else has sent some of them meanwhile, and
    perhaps what came later: what was sent here now lies behind that.
    """
    if not messages:
        return True
    done = connection.execute(
        delete(outbox).where(*(column == bindparam(f"_{column.name}") for column in _KEY)),
        [
            {
                "_reader": each.reader,
                **{f"_{name}": value for name, value in each.source._asdict().items()},
                "_number": each.number,
            }
            for each in messages
        ],
    )
    return done.rowcount == len(messages)


def put_behind(
    connection: Connection, reader: str, topic: str, partition: int, messages: Iterable[Message]
) -> None:
    """Keep messages behind all that came of what a reader has handled of a partition.

    What comes of later messages of it is sent after them.
    """
    at = inbox.handled(connection, reader, topic, partition)
    of_it = outbox.c.reader == reader, outbox.c.topic == topic, outbox.c.partition == partition
    last = connection.scalar(select(func.max(outbox.c.number)).where(*of_it, outbox.c.offset == at))
    first = BEHIND if last is None else max(last + 1, BEHIND)
    if rows := _rows(reader, Position(topic, partition, at), messages, first):
        connection.execute(insert(outbox), rows)


def _rows(
    reader: str, source: Position, messages: Iterable[Message], first: int = 0
) -> list[dict[str, Any]]:
    return [
        {
            "reader": reader,
            **source._asdict(),
            "number": number,
            "target": message.target,
            "key": message.key,
            "value": message.value,
        }
        for number, message in enumerate(messages, first)
    ]


BEHIND = 1_000_000  # the number of the first message behind those of an input
_KEY = tuple(outbox.primary_key)
