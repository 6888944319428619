"""What may have reached a provider and can be undone there, and what is due to be (S14, S15, S23).

A row is written before the request that makes it true, in the transaction that claims the event. It
falls due when the withdrawal of its consent is effective, and goes when the removal is done.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from sqlalchemy import (
    Connection,
    Text,
    bindparam,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from privacy.consent import epoch_of
from sinks.ledger.deliveries import State
from sinks.ledger.tables import deliveries, holds, reached
from sinks.ledger.upsert import insert
from sinks.ledger.withdrawals import Withdrawal


@dataclass(frozen=True, slots=True)
class Reached:
    """What a removal needs: the visitor, the audience or None, the ids, and the event's epoch.

    ``event_id`` is the removal's own; equal ones undo the same.
    """

    event_id: str
    partition: int
    site: str
    visitor: str = field(repr=False)
    audience: str | None
    ids: Mapping[str, str] = field(repr=False)
    epoch: int


class Waiting(NamedTuple):
    """How many removals are due at a provider, and since when the first is (ms since 1970)."""

    provider: str
    removals: int
    since: int


class Sent(NamedTuple):
    """What a provider may have of a visitor: of an audience or of visits, and by which ids."""

    provider: str
    purpose: str
    audience: str | None
    ids: Mapping[str, str]
    due_at: int | None


_COLUMNS = (
    reached.c.event_id,
    reached.c.partition,
    reached.c.site,
    reached.c.visitor,
    reached.c.audience,
    reached.c.ids,
    reached.c.epoch,
)


def remember(connection: Connection, provider: str, purpose: str, rows: Iterable[Reached]) -> None:
    """Remember what is about to be sent by the consent to ``purpose``; what is known stays."""
    values = [
        {"provider": provider, "purpose": purpose, **asdict(each)}
        # In one order for everybody: two that remember the same would wait for each other.
        for each in sorted(rows, key=lambda each: each.event_id)
    ]
    if values:
        connection.execute(insert(connection, reached).on_conflict_do_nothing(), values)


def fall_due(connection: Connection, withdrawals: Sequence[Withdrawal], at: int) -> None:
    """Let what was sent by consents that ``withdrawals`` ended be removed, from ``at`` on.

    To be called in the transaction that lets them be effective, and not before: an event on its way
    would come after its removal. A withdrawal without a purpose ends consents to all.
    """
    rows = [
        {
            "_site": each.site,
            "_visitor": each.visitor,
            "_purpose": each.purpose,
            "_epoch": epoch_of(each.offset),
        }
        for each in withdrawals
        if each.visitor is not None
    ]
    if rows:
        purpose = bindparam("_purpose", type_=Text)
        ended = update(reached).where(
            reached.c.site == bindparam("_site"),
            reached.c.visitor == bindparam("_visitor"),
            or_(purpose.is_(None), reached.c.purpose == purpose),
            reached.c.epoch <= bindparam("_epoch"),
            reached.c.due_at.is_(None),
        )
        connection.execute(ended.values(due_at=at), rows)


def due(
    connection: Connection, provider: str, partitions: Collection[int], most: int
) -> list[Reached]:
    """Return what is to be removed at a provider, at most so much, the longest due first.

    A removal that the provider has accepted and not judged yet is not among them, nor is one of a
    visitor whose data are restricted: nothing is deleted then (S21).
    """
    accepted = select(deliveries.c.event_id).where(
        deliveries.c.provider == reached.c.provider,
        deliveries.c.event_id == reached.c.event_id,
        deliveries.c.state == State.ACCEPTED,
    )
    restricted = select(holds.c.hold_id).where(
        holds.c.site == reached.c.site, holds.c.visitor == reached.c.visitor
    )
    query = select(*_COLUMNS).where(
        reached.c.provider == provider,
        reached.c.due_at.is_not(None),
        reached.c.partition.in_(partitions),
        ~accepted.exists(),
        ~restricted.exists(),
    )
    ordered = query.order_by(reached.c.due_at, reached.c.event_id).limit(most)
    return [Reached(**row) for row in connection.execute(ordered).mappings()]


def providers(
    connection: Connection, visitors: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], Sequence[str]]:
    """Return where something of about a thousand visitors (site, cookie id) is known to be."""
    query = (
        select(reached.c.site, reached.c.visitor, reached.c.provider)
        .where(tuple_(reached.c.site, reached.c.visitor).in_(visitors))
        .distinct()
        .order_by(reached.c.provider)
    )
    found: dict[tuple[str, str], list[str]] = {each: [] for each in visitors}
    for row in connection.execute(query) if visitors else ():
        found[row.site, row.visitor].append(row.provider)
    return found


def of_visitor(connection: Connection, site: str, visitor: str) -> list[tuple[str, str]]:
    """Return where something of a visitor is known to be, and by the consent to which purpose."""
    mine = reached.c.site == site, reached.c.visitor == visitor
    query = select(reached.c.provider, reached.c.purpose).where(*mine).distinct()
    return [(row.provider, row.purpose) for row in connection.execute(query)]


def copy(connection: Connection, site: str, visitor: str) -> list[Sent]:
    """Return what may have reached providers of a visitor, for the visitor to read (S18)."""
    mine = reached.c.site == site, reached.c.visitor == visitor
    query = select(*(reached.c[name] for name in Sent._fields)).where(*mine)
    ordered = query.order_by(reached.c.provider, reached.c.event_id)
    return [Sent(*row) for row in connection.execute(ordered)]


def forget(connection: Connection, provider: str, event_ids: Sequence[str]) -> None:
    """Delete what was removed, or what the provider refuses to remove."""
    if event_ids:
        done = reached.c.event_id == bindparam("_event_id")
        connection.execute(
            delete(reached).where(reached.c.provider == provider, done),
            [{"_event_id": each} for each in event_ids],
        )


def waiting(connection: Connection) -> list[Waiting]:
    """Return what is due at each provider where something is."""
    query = (
        select(reached.c.provider, func.count(), func.min(reached.c.due_at))
        .where(reached.c.due_at.is_not(None))
        .group_by(reached.c.provider)
        .order_by(reached.c.provider)
    )
    return [Waiting(*row) for row in connection.execute(query)]
