"""A provider's pages of the ledger, as ``Book`` asks."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby

from sqlalchemy import Connection

from privacy.outcome import Reason
from sinks.ledger import deliveries, dispatchers
from sinks.ledger.deliveries import Finish, State
from sinks.ledger.dispatchers import Lease, Process
from sinks.ledger.ledger import Ledger
from streams.delivery.book import Claim, Entry, HeldError, Result


class LedgerBook:
    """Implements ``Book`` for one provider and one dispatcher, who is ``process``."""

    def __init__(
        self, ledger: Ledger, provider: str, process: Process, now: Callable[[], int]
    ) -> None:
        """``now`` gives milliseconds since 1970."""
        self._ledger = ledger
        self._provider = provider
        self._process = process
        self._now = now
        self._held: set[int] = set()

    def hold(self, passed: Mapping[int, int], until: float) -> None:
        """Hold partitions; see ``Book``."""
        with self._ledger.passing() as connection:
            self._drop(connection, self._held - passed.keys())
            for partition, offset in sorted(passed.items()):
                lease = Lease(
                    self._provider,
                    partition,
                    self._process,
                    offset,
                    int(until * 1000),
                    self._now(),
                )
                if not dispatchers.renew(connection, lease):
                    raise HeldError(partition)
        self._held = set(passed)

    def leave(self) -> None:
        """Hold nothing; see ``Book``."""
        if self._held:
            with self._ledger.passing() as connection:
                self._drop(connection, self._held)
            self._held = set()

    def claim(self, entries: Sequence[Entry]) -> Mapping[str, Claim]:
        """Claim events; see ``Book``."""
        claims: dict[str, Claim] = {}
        with self._ledger.transaction() as connection:
            for partition, group in _by_partition(entries):
                ids = {each.event.event_id: each.event.site for each in group}
                new = deliveries.claim(
                    connection, self._provider, partition, ids.items(), self._now()
                )
                known = deliveries.states(connection, self._provider, ids.keys() - new)
                claims |= dict.fromkeys(new, Claim.NEW)
                claims |= {
                    each: Claim.OPEN if state == State.CLAIMED else Claim.DONE
                    for each, state in known.items()
                }
        return claims

    def finish(self, results: Collection[Result]) -> None:
        """Write down what became of events, claimed or not; see ``Book``."""
        now = self._now()
        with self._ledger.transaction() as connection:
            # Of what has begun it is known that it was claimed.
            fresh = [each.entry for each in results if each.begun_at is None]
            for partition, group in _by_partition(fresh):
                ids = [(each.event.event_id, each.event.site) for each in group]
                deliveries.claim(connection, self._provider, partition, ids, now)
            deliveries.finish(
                connection,
                self._provider,
                [
                    Finish(
                        each.entry.event.event_id,
                        each.state,
                        each.reason,
                        each.ticket,
                        each.begun_at,
                    )
                    for each in results
                ],
                now,
            )

    def release(self, entries: Sequence[Entry]) -> None:
        """Write down what was surely not taken; see ``Book``."""
        ids = [each.event.event_id for each in entries]
        with self._ledger.transaction() as connection:
            deliveries.release(connection, self._provider, ids, self._now())

    def tickets(self, partitions: Collection[int]) -> Mapping[str, Sequence[str]]:
        """Return the event ids of each ticket; see ``Book``."""
        found: dict[str, list[str]] = {}
        with self._ledger.reading() as connection:
            for partition in partitions:
                for each in deliveries.unfinished(
                    connection, self._provider, partition, (State.ACCEPTED,)
                ):
                    if each.ticket is not None:
                        found.setdefault(each.ticket, []).append(each.event_id)
        return found

    def judge(self, event_ids: Sequence[str], state: State, reason: Reason | None) -> None:
        """Write down what a provider says of a ticket's events; see ``Book``."""
        with self._ledger.transaction() as connection:
            results = [Finish(each, state, reason) for each in event_ids]
            deliveries.finish(connection, self._provider, results, self._now())

    def _drop(self, connection: Connection, partitions: Iterable[int]) -> None:
        for partition in partitions:
            dispatchers.drop(connection, self._provider, partition, self._process.id)


def _by_partition(entries: Iterable[Entry]) -> Iterable[tuple[int, list[Entry]]]:
    ordered = sorted(entries, key=_partition)
    return [(partition, list(group)) for partition, group in groupby(ordered, _partition)]


def _partition(entry: Entry) -> int:
    return entry.partition
