"""A provider's pages of the ledger, as ``Book`` asks."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice

from sqlalchemy import Connection

from privacy.outcome import Reason
from sinks.ledger import deliveries, dispatchers, reached
from sinks.ledger.deliveries import Finish, State
from sinks.ledger.dispatchers import Lease, Process
from sinks.ledger.ledger import Ledger
from sinks.ledger.reached import Reached
from streams.delivery.book import Claim, Entry, HeldError, Result, Ticket
from streams.delivery.removals import removal

MOST = 100_000  # removals kept in mind


class LedgerBook:
    """Implements ``Book`` for one provider and one dispatcher, who is ``process``."""

    def __init__(
        self,
        ledger: Ledger,
        provider: str,
        purpose: str,
        process: Process,
        now: Callable[[], int],
    ) -> None:
        """``purpose`` is the one whose consent is needed; ``now`` in milliseconds since 1970."""
        self._ledger = ledger
        self._provider = provider
        self._purpose = purpose
        self._process = process
        self._now = now
        self._held: set[int] = set()
        self._remembered: dict[str, None] = {}

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

    def claim(self, entries: Sequence[Entry], undoing: Sequence[Reached]) -> Mapping[str, Claim]:
        """Claim events; see ``Book``."""
        claims: dict[str, Claim] = {}
        new = {each.event_id: each for each in undoing if each.event_id not in self._remembered}
        with self._ledger.transaction() as connection:
            reached.remember(connection, self._provider, self._purpose, new.values())
            for partition, group in _by_partition(entries):
                fresh, known = self._claim(connection, partition, group)
                claims |= dict.fromkeys(fresh, Claim.NEW)
                claims |= {
                    each: Claim.OPEN if state == State.CLAIMED else Claim.DONE
                    for each, state in known.items()
                }
        self._note(new)
        return claims

    def finish(self, results: Collection[Result]) -> Sequence[Result]:
        """Write down what became of events, claimed or not; see ``Book``."""
        removed = [
            each.entry.event.event_id
            for each in results
            # One that is judged later is remembered until then.
            if not each.entry.event.member and each.state != State.ACCEPTED
        ]
        with self._ledger.transaction() as connection:
            written = self._written(connection, results)
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
                    for each in written
                ],
                self._now(),
            )
            reached.forget(connection, self._provider, removed)
        return written

    def due(self, partitions: Collection[int], most: int) -> Sequence[Entry]:
        """Return removals that are due; see ``Book``."""
        with self._ledger.reading() as connection:
            rows = reached.due(connection, self._provider, partitions, most)
        return [removal(each, self._now()) for each in rows]

    def release(self, entries: Sequence[Entry]) -> None:
        """Write down what was surely not taken; see ``Book``."""
        ids = [each.event.event_id for each in entries]
        with self._ledger.transaction() as connection:
            deliveries.release(connection, self._provider, ids, self._now())

    def tickets(self, partitions: Collection[int]) -> list[Ticket]:
        """Return what is not judged; see ``Book``."""
        found: dict[str, list[deliveries.Open]] = {}
        with self._ledger.reading() as connection:
            for partition in partitions:
                for each in deliveries.unfinished(
                    connection, self._provider, partition, (State.ACCEPTED,)
                ):
                    if each.ticket is not None:
                        found.setdefault(each.ticket, []).append(each)
        return [
            Ticket(ticket, [each.event_id for each in events], min(each.at for each in events))
            for ticket, events in found.items()
        ]

    def judge(self, event_ids: Sequence[str], state: State, reason: Reason | None) -> None:
        """Write down what a provider says of a ticket's events; see ``Book``."""
        with self._ledger.transaction() as connection:
            results = [Finish(each, state, reason) for each in event_ids]
            deliveries.finish(connection, self._provider, results, self._now())
            if state != State.UNCERTAIN:
                reached.forget(connection, self._provider, event_ids)

    def _claim(
        self, connection: Connection, partition: int, entries: Sequence[Entry]
    ) -> tuple[set[str], Mapping[str, State]]:
        """Return the ids that are ours now, and where the others stand."""
        ids = {each.event.event_id: each.event.site for each in entries}
        new = deliveries.claim(connection, self._provider, partition, ids.items(), self._now())
        return new, deliveries.states(connection, self._provider, ids.keys() - new)

    def _written(self, connection: Connection, results: Collection[Result]) -> Sequence[Result]:
        """Claim what was not, and leave out what was settled before.

        What another holds is UNCERTAIN: it must be dead, and may have sent it.
        """
        known: dict[str, State] = {}
        for partition, group in _by_partition(each.entry for each in results if not each.claimed):
            known |= self._claim(connection, partition, group)[1]
        written = []
        for each in results:
            state = known.get(each.entry.event.event_id)
            if state is None or not each.entry.event.member:
                written.append(each)
            elif state == State.CLAIMED:
                reason = Reason.PROVIDER_UNCERTAIN
                written.append(replace(each, state=State.UNCERTAIN, reason=reason))
        return written

    def _note(self, event_ids: Iterable[str]) -> None:
        """Keep in mind what the ledger has, so that it is not written for each event again."""
        self._remembered |= dict.fromkeys(event_ids)
        for oldest in list(islice(self._remembered, max(len(self._remembered) - MOST, 0))):
            del self._remembered[oldest]

    def _drop(self, connection: Connection, partitions: Iterable[int]) -> None:
        for partition in partitions:
            dispatchers.drop(connection, self._provider, partition, self._process.id)


def _by_partition(entries: Iterable[Entry]) -> Iterable[tuple[int, list[Entry]]]:
    ordered = sorted(entries, key=_partition)
    return [(partition, list(group)) for partition, group in groupby(ordered, _partition)]


def _partition(entry: Entry) -> int:
    return entry.partition
