"""Cases that end without a message of their own: of groups that were closed, and in due time.

A batch is one transaction. A case that has changed is not found again, so that a job which was
interrupted goes on where it was, whoever takes it up.
"""

import threading
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from privacy.durations import DAY_MS, HOUR_MS
from privacy.lifecycle import ServiceEvent
from privacy.outcome import Reason
from privacy.policy import Policy
from sinks.kafka import BatchProducer
from sinks.ledger import cases, jobs, outbox
from sinks.ledger.cases import Case
from sinks.ledger.jobs import Job
from sinks.ledger.ledger import Ledger
from streams import metrics
from streams.cases.transitions import Change, Transitions, keep
from streams.cases.work import concerned
from streams.lanes.ledgered import publish
from streams.turns import take_turns

AT_ONCE = 1_000
IDLE_SECONDS = 0.1
FORGET_AFTER_MS = 8 * DAY_MS  # a day more than events are on their topic
FORGET_EVERY_MS = HOUR_MS
READER = "closures"


class Closures:
    """Runs until told to stop. One thread; several may work on one ledger."""

    def __init__(
        self,
        policy: Policy,
        transitions: Transitions,
        ledger: Ledger,
        producer: BatchProducer,
        clock: Callable[[], int],
    ) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._policy = policy
        self._transitions = transitions
        self._ledger = ledger
        self._producer = producer
        self._clock = clock
        self._forget_at = 0

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; while the ledger is away, wait for it."""
        take_turns(self.turn, stop, IDLE_SECONDS)

    def turn(self) -> bool:
        """Change a batch, tell of it, and each hour forget old jobs; False: there was nothing."""
        if self._clock() >= self._forget_at:
            with self._ledger.transaction() as connection:
                jobs.forget(connection, self._clock() - FORGET_AFTER_MS)
            self._forget_at = self._clock() + FORGET_EVERY_MS
        busy = self.batch()
        self.publish()
        return busy

    def batch(self) -> bool:
        """Change up to AT_ONCE cases or finish a job in one transaction; False: there was nothing.

        Or departments have still to be told of all that could be changed, which takes a moment.
        """
        with self._ledger.reading() as connection:  # most of the time there is nothing
            if not (jobs.is_open(connection) or cases.is_due(connection, self._clock())):
                return False
        with self._ledger.transaction() as connection:
            job = jobs.unfinished(connection)
            found = [] if job is None else self._closing(connection, job)
            changes = _can_be_told(connection, found)
            if job is not None:
                _note(connection, job, len(changes), None if found else self._clock())
            busy = bool(changes) or (job is not None and not found)
            if not busy:  # there is no job, or it has to wait, and others have not
                changes = _can_be_told(connection, self._due(connection))
            keep(connection, changes)
            messages = [each for change in changes for each in change.messages]
            outbox.append(connection, READER, messages)
        return busy or bool(changes)

    def publish(self) -> None:
        """Send what came of the batches, also what an earlier life left."""
        publish(self._ledger, self._producer, READER, READER, 0)

    def _closing(self, connection: Connection, job: Job) -> list[Change]:
        """Return what a job makes of some of the cases that it has still to change."""
        found: list[Case] = []
        for service, state in concerned(self._policy, job.service, job.event):
            room = AT_ONCE - len(found)
            if room:
                group_id = job.group_id or ""
                found += cases.in_group(connection, service, group_id, state, room)
        return [self._after(case, job.event, job.job_id) for case in found]

    def _due(self, connection: Connection) -> list[Change]:
        """Return what becomes of some of the cases whose time in their state is over."""
        found = cases.due(connection, self._clock(), AT_ONCE)
        return [self._after(case, self._transitions.timeout(case), case.case_id) for case in found]

    def _after(self, case: Case, event: ServiceEvent, cause_id: str) -> Change:
        change = self._transitions.after(case, event, cause_id, self._clock())
        if isinstance(change, Reason):
            raise TypeError(
                f"{event} in {case.state}: {change}"
            )  # the tables contradict each other
        return change


def _note(connection: Connection, job: Job, done: int, finished_at: int | None) -> None:
    """Keep how far a job is."""
    if finished_at is None:
        jobs.advance(connection, job.job_id, job.done + done)
    else:
        jobs.finish(connection, job.job_id, finished_at)
    metrics.CLOSING_CASES.set(0 if finished_at else max(0, job.total - job.done - done))


def _can_be_told(connection: Connection, changes: Sequence[Change]) -> Sequence[Change]:
    """Leave for later those whose departments have still to be told of an earlier change.

    What the lane has not sent yet would come after ours, and stand. Of those that end no
    department is told here.
    """
    told = [each.case.case_id.encode() for each in changes if each.deletion is None]
    waiting = outbox.unsent(connection, told) if told else ()
    return [each for each in changes if each.case.case_id.encode() not in waiting]
