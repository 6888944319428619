"""What became of each service event: of one case at once, of a whole group in batches.

An event that is here was handled: it changes nothing when it comes again, whatever was lost of the
positions. Times are milliseconds since 1970.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from privacy.lifecycle import ServiceEvent
from sinks.ledger.tables import jobs


@dataclass(frozen=True, slots=True)
class Job:
    """One service event. ``total`` is how many cases it concerns, ``done`` how many it changed.

    ``job_id`` is the event's id. No ``finished_at``: cases of the group are still to be changed.
    One that finished with less done than there was to do was refused.
    """

    job_id: str
    service: str
    group_id: str | None
    event: ServiceEvent
    total: int
    done: int
    begun_at: int
    finished_at: int | None


_COLUMNS = [jobs.c[name] for name in Job.__slots__]


def begin(connection: Connection, new: Sequence[Job]) -> None:
    """Keep events that were not handled before."""
    if new:
        connection.execute(insert(jobs), [asdict(each) for each in new])


def known(connection: Connection, job_ids: Collection[str]) -> set[str]:
    """Return those of about a thousand events that were handled before."""
    return set(connection.scalars(select(jobs.c.job_id).where(jobs.c.job_id.in_(job_ids))))


def is_open(connection: Connection) -> bool:
    """Tell whether a job is unfinished."""
    query = select(jobs.c.job_id).where(jobs.c.finished_at.is_(None))
    return connection.execute(query.limit(1)).first() is not None


def unfinished(connection: Connection) -> Job | None:
    """Return the oldest unfinished job, and let others who would work on it wait for our end."""
    query = select(*_COLUMNS).where(jobs.c.finished_at.is_(None)).order_by(jobs.c.begun_at)
    row = connection.execute(query.limit(1).with_for_update()).first()
    return None if row is None else _job(row)


def advance(connection: Connection, job_id: str, done: int) -> None:
    """Keep how far a job is."""
    connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(done=done))


def finish(connection: Connection, job_id: str, at: int) -> None:
    """Finish a job: what else it concerned has changed by itself since it was counted."""
    now = update(jobs).where(jobs.c.job_id == job_id)
    connection.execute(now.values(total=jobs.c.done, finished_at=at))


def show(connection: Connection, job_id: str) -> Job | None:
    """Return a job; None while the event was not handled."""
    row = connection.execute(select(*_COLUMNS).where(jobs.c.job_id == job_id)).first()
    return None if row is None else _job(row)


def forget(connection: Connection, before: int) -> None:
    """Forget jobs that finished before a time from which no event is on its topic any more."""
    connection.execute(delete(jobs).where(jobs.c.finished_at < before))


def _job(row: Any) -> Job:
    return Job(**{**row._mapping, "event": ServiceEvent(row.event)})  # noqa: SLF001 - not private
