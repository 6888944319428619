"""Legal claims of the controller, which keep a case (Art. 17(3)(e) GDPR)."""

from sqlalchemy import Connection

from privacy.policy import Policy
from sinks.ledger import cases, holds, outbox
from sinks.ledger.holds import Hold, Kind, Whose
from streams.cases.closures import READER
from streams.cases.transitions import Transitions
from streams.ids import made_id
from streams.rights.holds import resume


def place(connection: Connection, case_id: str, ground: str, at: int) -> bool:
    """Keep a case from its end, at ``at`` (ms since 1970); False: a claim keeps it already."""
    return holds.place(
        connection,
        Hold(
            hold_id=made_id("claim", case_id),
            kind=Kind.CLAIM,
            subject=None,
            site=None,
            visitor=None,
            case_id=case_id,
            ground=ground,
            since=at,
        ),
    )


def lift(
    connection: Connection, case_id: str, *, policy: Policy, transitions: Transitions, at: int
) -> bool:
    """Let a case go, and have what came meanwhile happen now; False: no claim keeps it.

    What is to be sent of it, the worker's closures send.
    """
    if not holds.lift(connection, made_id("claim", case_id), Whose.CASE):
        return False
    case = cases.locked(connection, [case_id]).get(case_id)
    free = [] if case is None or case.held is not None else [case_id]
    messages = resume(connection, policy, transitions, free, at, told_before=at + 1)
    outbox.append(connection, READER, messages)
    return True
