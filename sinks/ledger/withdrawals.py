"""Withdrawals of ads consent: recorded at once, effective when nobody can send any more."""

from typing import NamedTuple

from sqlalchemy import Connection, select, update

from sinks.ledger.tables import withdrawals


class Withdrawal(NamedTuple):
    """A change in ``consent-changes`` and when it was recorded, in milliseconds since 1970."""

    offset: int
    recorded_at: int


_COLUMNS = (withdrawals.c.offset, withdrawals.c.recorded_at)


def unsettled(connection: Connection, partition: int) -> list[Withdrawal]:
    """Return a partition's withdrawals that are not known to be effective, the oldest first."""
    query = select(*_COLUMNS).where(
        withdrawals.c.partition == partition, withdrawals.c.effective_at.is_(None)
    )
    return [Withdrawal(*row) for row in connection.execute(query.order_by(withdrawals.c.offset))]


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
    return sorted(Withdrawal(*row) for row in connection.execute(now))
