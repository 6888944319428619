"""Every policy that was in force, so that it can be shown later what people agreed to (S4, S23)."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, select

from sinks.ledger.tables import policies
from sinks.ledger.upsert import insert


@dataclass(frozen=True, slots=True)
class Recorded:
    """A version of the policy: the file's ``text``, and a ``digest`` of what it says.

    ``recorded_at``, in milliseconds since 1970, is when it was first in force.
    """

    version: str
    digest: str
    recorded_at: int
    text: str


def record(connection: Connection, given: Recorded) -> Recorded:
    """Keep a version the first time it is given, and return what is kept under its name."""
    new = insert(connection, policies).values(asdict(given)).on_conflict_do_nothing()
    connection.execute(new)
    query = select(policies).where(policies.c.version == given.version)
    return Recorded(**connection.execute(query).mappings().one())


def history(connection: Connection) -> list[Recorded]:
    """Return every version, the oldest first."""
    query = select(policies).order_by(policies.c.recorded_at, policies.c.version)
    return [Recorded(**row) for row in connection.execute(query).mappings()]
