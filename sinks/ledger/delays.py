"""How long withdrawals wait until they are effective, for whoever watches over the bound."""

from sqlalchemy import Connection, select

from sinks.ledger.tables import withdrawals


def waiting(connection: Connection) -> list[int]:
    """Return when each withdrawal was recorded that is not effective yet, the oldest first."""
    recorded = withdrawals.c.recorded_at
    query = select(recorded).where(withdrawals.c.effective_at.is_(None))
    return list(connection.scalars(query.order_by(recorded)))


def delays(connection: Connection, since: int) -> list[int]:
    """Return how long each effective withdrawal took that was recorded since a time, in order.

    All in milliseconds; the times since 1970.
    """
    delay = withdrawals.c.effective_at - withdrawals.c.recorded_at
    query = select(delay).where(
        withdrawals.c.effective_at.is_not(None), withdrawals.c.recorded_at >= since
    )
    return list(connection.scalars(query.order_by(delay)))
