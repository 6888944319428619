"""Answers: files that requesters fetch once with a token, and that expire (S18, S22).

A row's id is the hash of the token, and its content is sealed with a key made of the token: the
ledger alone opens no answer. Times are milliseconds since 1970.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, delete, select, update

from sinks.ledger.journal import note
from sinks.ledger.tables import answers
from sinks.ledger.upsert import insert


@dataclass(frozen=True, slots=True)
class Answer:
    """One file. No ``sealed``: it was taken, or expired, and what it held is deleted."""

    answer_id: str
    request_id: str
    name: str
    media_type: str
    sealed: bytes | None = field(repr=False)
    made_at: int
    expires_at: int
    taken_at: int | None = None


def put(connection: Connection, new: Answer) -> bool:
    """Keep an answer; False: it was there, fetched or not, and stays as it is."""
    first = insert(connection, answers).values(asdict(new)).on_conflict_do_nothing()
    return connection.execute(first.returning(answers.c.answer_id)).first() is not None


def put_over(connection: Connection, new: Answer) -> None:
    """Keep an answer in the place of an earlier request's that the same token opens."""
    earlier = answers.c.answer_id == new.answer_id, answers.c.request_id != new.request_id
    connection.execute(delete(answers).where(*earlier))
    put(connection, new)


def take(connection: Connection, answer_id: str, at: int) -> Answer | None:
    """Return an answer and delete its content: of two that take it at once, one gets it.

    None: it is not there, was taken, or has expired. What is deleted is gone for good after
    ``Ledger.checkpoint``.
    """
    mine = answers.c.answer_id == answer_id
    there = answers.c.sealed.is_not(None), answers.c.expires_at > at
    query = select(answers).where(mine, *there).with_for_update()
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    connection.execute(update(answers).where(mine).values(sealed=None, taken_at=at))
    note(connection, "taken", answer={**row, "sealed": None, "taken_at": at})
    return replace(_answer(row), taken_at=at)


def expire(connection: Connection, at: int) -> int:
    """Delete the contents of answers that nobody took in time; return how many there were."""
    over = answers.c.sealed.is_not(None), answers.c.expires_at <= at
    return connection.execute(update(answers).where(*over).values(sealed=None)).rowcount


def taken_since(connection: Connection, since: int) -> bool:
    """Tell whether an answer was taken at a time or later."""
    query = select(answers.c.answer_id).where(answers.c.taken_at >= since)
    return connection.execute(query.limit(1)).first() is not None


def state(connection: Connection, answer_id: str) -> Answer | None:
    """Return what is known of an answer, and change nothing."""
    query = select(answers).where(answers.c.answer_id == answer_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _answer(row)


def of_request(connection: Connection, request_id: str) -> list[Answer]:
    """Return a request's answers, the oldest first."""
    query = select(answers).where(answers.c.request_id == request_id)
    rows = connection.execute(query.order_by(answers.c.made_at)).mappings()
    return [_answer(row) for row in rows]


def _answer(row: Mapping[Any, Any]) -> Answer:
    return Answer(**row)
