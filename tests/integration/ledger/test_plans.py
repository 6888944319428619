"""Nothing that is asked for each request, case or turn looks at every row (1,000,000 persons)."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from privacy.lifecycle import CaseState
from sinks.ledger import (
    answers,
    cases,
    consents,
    demands,
    holds,
    keys,
    requests,
    suppressed,
    unsubscribed,
)
from sinks.ledger.ledger import Ledger
from sinks.ledger.tables import METADATA

IDS = ["a", "b"]
ASKED: dict[str, Callable[[Connection], Any]] = {
    "requests.get": lambda c: requests.get(c, "r"),
    "requests.lock": lambda c: requests.lock(c, IDS),
    "requests.confirm": lambda c: requests.confirm(c, "r", 1, "link", 2),
    "requests.ready": lambda c: requests.ready(c, 1, 200),
    "requests.unconfirmed": lambda c: requests.unconfirmed(c, 1, 200),
    "requests.put_plan": lambda c: requests.put_plan(c, "r", [("answer", "")], "", [], 1, "1"),
    "requests.steps": lambda c: requests.steps(c, "r"),
    "requests.next_steps": lambda c: requests.next_steps(c, IDS),
    "requests.done": lambda c: requests.done(c, [("r", 0, "done")], 1),
    "requests.later": lambda c: requests.later(c, "r", 1),
    "requests.answered": lambda c: requests.answered(c, IDS, 1),
    "requests.to_shred": lambda c: requests.to_shred(c, 1),
    "requests.close": lambda c: requests.close(c, IDS, 1),
    "requests.forget_subjects": lambda c: requests.forget_subjects(c, 1),
    "requests.late": lambda c: requests.late(c, 1),
    "requests.of_subject": lambda c: requests.of_subject(c, "s"),
    "requests.count_recent": lambda c: requests.count_recent(c, "s", 1),
    "holds.of_subject": lambda c: holds.of_subject(c, IDS),
    "holds.of_visitors": lambda c: holds.of_visitors(c, "shop", IDS),
    "holds.claims": lambda c: holds.claims(c, IDS),
    "holds.hold_cases": lambda c: holds.hold_cases(c, "s", "r"),
    "holds.release_cases": lambda c: holds.release_cases(c, "r"),
    "holds.defer": lambda c: holds.defer(c, "c", {"event_id": "e"}),
    "holds.forget_deferred": lambda c: holds.forget_deferred(c, IDS),
    "demands.complete": lambda c: demands.complete(c, IDS, 1),
    "demands.answers_of": lambda c: demands.answers_of(c, IDS),
    "demands.late": lambda c: demands.late(c, 1),
    "demands.of_request": lambda c: demands.of_request(c, "r"),
    "demands.to_shred": lambda c: demands.to_shred(c, 1, 1),
    "demands.shred": lambda c: demands.shred(c, IDS, 1),
    "answers.take": lambda c: answers.take(c, "a", 1),
    "answers.taken_since": lambda c: answers.taken_since(c, 1),
    "answers.expire": lambda c: answers.expire(c, 1),
    "answers.of_request": lambda c: answers.of_request(c, "r"),
    "suppressed.of": lambda c: suppressed.of(c, IDS),
    "cases.of_subject": lambda c: cases.of_subject(c, "s", ["gala"]),
    "cases.of_subjects": lambda c: cases.of_subjects(c, IDS),
    "cases.in_group": lambda c: cases.in_group(c, "gala", "spring", CaseState.OPEN, 9),
    "cases.due": lambda c: cases.due(c, 1, 9),
    "keys.owners_of": lambda c: keys.owners_of(c, IDS),
    "keys.orphans": lambda c: keys.orphans(c, 0, 1, 9),
    "consents.forget": lambda c: consents.forget(c, "shop", "v"),
    "unsubscribed.of_subject": lambda c: unsubscribed.of_subject(c, "s"),
}


def plans(connection: Connection, ask: Callable[[Connection], Any]) -> list[str]:
    """Return how SQLite would find the rows of each statement."""
    found: list[str] = []

    def explain(_c: Any, cursor: Any, statement: str, given: Any, _x: Any, many: bool) -> None:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", given[0] if many else given)
        found.extend(row[3] for row in cursor.fetchall())

    event.listen(connection, "before_cursor_execute", explain)
    ask(connection)
    event.remove(connection, "before_cursor_execute", explain)
    return found


def scans(steps: list[str]) -> list[str]:
    """Return those that look at a whole table, or at a whole index."""
    return [
        step for step in steps if step.startswith(tuple(f"SCAN {name}" for name in METADATA.tables))
    ]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_none_scans_a_table(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        found = {name: scans(plans(connection, ask)) for name, ask in ASKED.items()}
    assert {name: steps for name, steps in found.items() if steps} == {}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_scan_would_be_seen(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        assert scans(plans(connection, cases.services))
        assert scans(plans(connection, holds.all))
