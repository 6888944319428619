"""The engine: plans what is confirmed, and does the plans step by step (S17 to S24).

    plan     what is held of whom, and the commands that follow from it, into the ledger
    steps    in order, each noted when it is done; of a whole batch in one transaction
    outside  steps that need others than the ledger, out of it, several at once
    publish  what steps have to say, from the outbox

Each looks in the ledger for what was done before, so that after a crash between any two of them
another engine goes on. Several may work on one ledger: who works on a request has locked its row,
and leased it while away from the ledger.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy import Connection

from privacy.policy import RIGHTS, Policy
from privacy.rights.plan import plan
from sinks.kafka import BatchProducer
from sinks.keys.vault import Vault
from sinks.ledger import outbox, requests
from sinks.ledger.ledger import Ledger, LedgerError, isolated
from sinks.ledger.requests import Request, State
from streams import metrics
from streams.alerts import Alerts
from streams.lanes.ledgered import publish
from streams.rights.batch import Batch
from streams.rights.doing import Doing, Done, Handlers, Later, Outsides
from streams.rights.gather import Gatherer
from streams.rights.plans import keep
from streams.subject_requests import open_asked

READER = "rights"
AT_ONCE = 200
OUTSIDE_AT_ONCE = 8
SOON_MS = 500  # for the broker to acknowledge a letter
LEASE_MS = 120_000  # for a step outside; after a crash somebody else does it then
AGAIN_MS = 60_000  # after a step failed
READY = (State.CONFIRMED, State.PLANNED)

_log = structlog.get_logger()


class Engine:
    """Takes up to AT_ONCE requests on in a turn. One thread; several may work on one ledger."""

    def __init__(
        self,
        policy: Policy,
        ledger: Ledger,
        *,
        vault: Vault,
        gatherer: Gatherer,
        handlers: Handlers,
        outside: Outsides,
        producer: BatchProducer,
        alerts: Alerts,
        clock: Callable[[], int],
    ) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._policy = policy
        self._ledger = ledger
        self._vault = vault
        self._gatherer = gatherer
        self._handlers = handlers
        self._outside = outside
        self._producer = producer
        self._alerts = alerts
        self._clock = clock

    def turn(self) -> bool:
        """Take requests on as far as they go now, and tell whether there were any.

        Raise LedgerError; NotStoredError when the broker is away, with nothing lost.
        """
        self.publish()
        with self._ledger.reading() as connection:  # most of the time there is nothing
            found = requests.ready(connection, self._clock(), AT_ONCE)
        if not found:
            return False
        with self._ledger.transaction() as connection:
            batch = self._locked(connection, found)
            self._open(connection, batch)
            self._plan(connection, batch)
            self._steps(connection, batch)
            outbox.append(connection, READER, batch.messages)
        self.publish()
        if batch.away:
            self._go_outside(batch)
            self.publish()
        self._alerts.tell(batch.alerts(), batch.at)
        return True

    def publish(self) -> None:
        """Send what came of the batches, also what an earlier life left."""
        publish(self._ledger, self._producer, READER, READER, 0)

    def _locked(self, connection: Connection, found: Sequence[str]) -> Batch:
        """Lock requests; leave those that others took on meanwhile, or that wait for a letter.

        What is behind a letter is done when the broker has it, and not before (Art. 18(3)).
        """
        at = self._clock()
        locked = requests.lock(connection, found)
        batch = Batch(
            connection, at, {name: each for name, each in locked.items() if _is_ready(each, at)}
        )
        unsent = outbox.unsent(connection, [each.encode() for each in batch.requests])
        for key in unsent:
            batch.leave(key.decode(), at + SOON_MS)
        return batch

    def _open(self, connection: Connection, batch: Batch) -> None:
        keys = self._vault.open(connection, batch.requests.keys(), RIGHTS)
        for name, request in list(batch.requests.items()):
            try:
                batch.opened[name] = open_asked(request, keys[name]), keys[name]
            except (KeyError, ValueError) as error:
                batch.failed(name, "open", error, AGAIN_MS)

    def _plan(self, connection: Connection, batch: Batch) -> None:
        new = [each for each in batch.requests.values() if each.state == State.CONFIRMED]
        of = [(each, batch.opened[each.request_id][0]) for each in new]
        known = self._gatherer.held(connection, of)
        for request, asked in of:
            try:
                planned = plan(asked, known[request.request_id], self._policy)
            except Exception as error:  # noqa: BLE001 - one must not hold up the others
                batch.failed(request.request_id, "plan", error, AGAIN_MS)
            else:
                keep(connection, request, planned, batch.at, self._policy)
        batch.renew()

    def _steps(self, connection: Connection, batch: Batch) -> None:
        """Do each request's next step until none can be gone on with."""
        while batch.requests:
            done: list[tuple[str, int, str]] = []
            over: list[str] = []
            for name, step in requests.next_steps(connection, list(batch.requests)).items():
                if step is None:
                    over.append(name)
                    continue
                came = self._came_of(connection, batch, batch.doing(name, step))
                if isinstance(came, Later):
                    batch.leave(name, came.due_at)
                elif isinstance(came, Done):
                    done.append((name, step.number, came.outcome))
                    batch.messages += came.messages
                    if came.rest_until is not None:
                        batch.leave(name, came.rest_until)
            requests.done(connection, done, batch.at)
            requests.answered(connection, over, batch.at)
            for name in over:
                metrics.REQUESTS_ANSWERED.labels(batch.requests.pop(name).right).inc()

    def _came_of(self, connection: Connection, batch: Batch, doing: Doing) -> Done | Later | None:
        """Do a step; one that is outside is leased, and done when the transaction is over."""
        act = doing.command.act
        if act in self._outside:
            batch.away.append(doing)
            return Later(batch.at + LEASE_MS)
        try:
            with isolated(connection):
                return self._handlers[act](connection, doing)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - one must not hold up the others
            batch.failed(doing.request.request_id, act, error, AGAIN_MS)
            return None

    def _go_outside(self, batch: Batch) -> None:
        """Do the steps that were leased, and note what came of them."""
        with ThreadPoolExecutor(OUTSIDE_AT_ONCE, thread_name_prefix="outside") as pool:
            came = list(pool.map(self._tried, batch.away))
        with self._ledger.transaction() as connection:
            names = [each.request.request_id for each in batch.away]
            requests.lock(connection, names)
            steps = requests.next_steps(connection, names)
            for doing, result in zip(batch.away, came, strict=True):
                name = doing.request.request_id
                step = steps.get(name)
                if step is None or step.number != doing.number:
                    continue  # it took longer than its lease, and somebody else has done it
                due_at = batch.at
                if isinstance(result, Done):
                    requests.done(connection, [(name, doing.number, result.outcome)], batch.at)
                    outbox.append(connection, READER, result.messages)
                    due_at = result.rest_until or due_at
                elif isinstance(result, Later):
                    due_at = result.due_at
                else:
                    batch.count(doing.command.act, result)
                    due_at += AGAIN_MS
                requests.later(connection, name, due_at)

    def _tried(self, doing: Doing) -> Done | Later | Exception:
        try:
            return self._outside[doing.command.act](doing)
        except Exception as error:  # noqa: BLE001 - one must not hold up the others
            return error


def _is_ready(request: Request, at: int) -> bool:
    return request.state in READY and (request.due_at is None or request.due_at <= at)
