"""Groups of cases that may end together: one contest, event, survey or vacancy each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select, tuple_

from privacy.lifecycle import ServiceEvent
from sinks.ledger.tables import groups
from sinks.ledger.upsert import insert

Key = tuple[str, str]  # service and group

OPEN = "open"


@dataclass(frozen=True, slots=True)
class Group:
    """What is known of a group.

    ``closed_by`` is the event that closed it: whoever comes later is treated as if there before.
    """

    closed_by: ServiceEvent | None
    capacity: int | None
    settings: Mapping[str, str]


def locked(connection: Connection, keys: Collection[Key]) -> dict[Key, Group]:
    """Return groups, made if need be, and let others who would change them wait for our end.

    ``keys`` are about a thousand at most.
    """
    if not keys:
        return {}
    ordered = sorted(keys)  # in one order for everybody
    rows = [
        {"service": service, "group_id": group_id, "state": OPEN, "settings": {}}
        for service, group_id in ordered
    ]
    connection.execute(insert(connection, groups).on_conflict_do_nothing(), rows)
    some = tuple_(groups.c.service, groups.c.group_id).in_(ordered)
    query = select(groups).where(some).order_by(groups.c.service, groups.c.group_id)
    return {
        (row.service, row.group_id): Group(
            None if row.state == OPEN else ServiceEvent(row.state), row.capacity, row.settings
        )
        for row in connection.execute(query.with_for_update())
    }


def settings(connection: Connection, service: str, group_id: str) -> Mapping[str, str]:
    """Return what was chosen for a group; nothing when it is not known."""
    mine = (groups.c.service == service, groups.c.group_id == group_id)
    found: Mapping[str, str] | None = connection.scalar(select(groups.c.settings).where(*mine))
    return found or {}


def put(connection: Connection, key: Key, group: Group) -> None:
    """Keep what is known of a group."""
    service, group_id = key
    known = {
        "state": OPEN if group.closed_by is None else group.closed_by,
        "capacity": group.capacity,
        "settings": dict(group.settings),
    }
    new = insert(connection, groups).values(service=service, group_id=group_id, **known)
    connection.execute(
        new.on_conflict_do_update(index_elements=list(groups.primary_key), set_=known)
    )
