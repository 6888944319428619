"""Withdrawals of ads consent: recorded at once, effective when nobody can send any more."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select, update

from sinks.ledger.tables import withdrawals


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A change in ``consent-changes`` and when it was recorded, in milliseconds since 1970.

    ``visitor`` is the cookie id whose consent to ``purpose`` it ended; no purpose: to all. Those
    recorded before removals were kept have no visitor.
    """

    offset: int
    recorded_at: int
    site: str | None = None
    visitor: str | None = field(default=None, repr=False)
    purpose: str | None = None


_COLUMNS = (
    withdrawals.c.offset,
    withdrawals.c.recorded_at,
    withdrawals.c.site,
    withdrawals.c.visitor,
    withdrawals.c.purpose,
)


def unsettled(connection: Connection, partition: int) -> list[Withdrawal]:
    """Return a partition's withdrawals that are not known to be effective, the oldest first."""
    query = select(*_COLUMNS).where(
        withdrawals.c.partition == partition, withdrawals.c.effective_at.is_(None)
    )
    return [Withdrawal(*row) for row in connection.execute(query.order_by(withdrawals.c.offset))]


def oldest_unsettled(connection: Connection) -> int | None:
    """Return when the oldest was recorded that is not known to be effective; None: all are."""
    query = select(func.min(withdrawals.c.recorded_at)).where(withdrawals.c.effective_at.is_(None))
    found: int | None = connection.scalar(query)
    return found


def settle(connection: Connection, partition: int, up_to_offset: int, at: int) -> list[Withdrawal]:
    """Let those up to and with ``up_to_offset`` be effective since ``at``, and return them.

    ``at`` must be no earlier than the moment from which on none of their visitors' events could
    leave. What is effective already stays as it is.
    """
    now = (
        update(withdrawals)
        .where(
            withdrawals.c.partition == partition,
            withdrawals.c.offset <= up_to_offset,
            withdrawals.c.effective_at.is_(None),
        )
        .values(effective_at=at)
        .returning(*_COLUMNS)
    )
    found = [Withdrawal(*row) for row in connection.execute(now)]
    return sorted(found, key=lambda each: each.offset)
