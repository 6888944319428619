"""The profiles lane: what visitors who agreed to a profile did, into the ledger (S11, S12).

Consent is decided twice. By all that was acknowledged before a batch was read, as when events are
routed; and by the ledger, in the transaction that adds to the profiles: the consent lane erases a
profile in the transaction that records the no, so that either it finds what was added here, or
its no is found here. What the ledger has not heard of yet takes nothing back.

Position and effect are one transaction: what is delivered again is not counted again. Events that
break the contract are left to the anonymise lane, which reads the same topic and refuses them.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Consumer

from privacy.consent import Consent, withheld
from privacy.durations import DAY_MS
from privacy.outcome import Reason
from privacy.policy import Profiles
from privacy.profile import City, pseudonym_of, signs
from privacy.standings import NO_EPOCH, REFUSALS
from sinks.kafka import commit, poll
from sinks.ledger import consents as recorded
from sinks.ledger import inbox, profiles
from sinks.ledger.consents import Visitor
from sinks.ledger.inbox import Position
from sinks.ledger.ledger import Ledger
from sinks.ledger.profiles import Seen, Signs
from streams import metrics
from streams.lanes.batch import Batch
from streams.lanes.route import Consents, consented
from streams.lanes.rules import Rules
from streams.lanes.source import Source
from streams.lanes.steps import (
    REQUIREMENTS,
    leave_rejected,
    mask_page,
    mask_search_terms,
    put_city,
    put_place,
    require_short_address,
)
from streams.turns import take_turns

PATH = (
    *REQUIREMENTS,
    put_place,
    require_short_address,
    leave_rejected,
    put_city,
    mask_page,
    mask_search_terms,
)
READ = ("site", "cookie_id", "consent_epoch", "country", "city", "page", "search_terms")


class Profiler:
    """Says what events are signs of. Pure but for what ``consents`` knows."""

    def __init__(self, rules: Profiles, key: bytes) -> None:
        """Take ``key`` to make pseudonyms with."""
        self.purpose = rules.purpose
        self._pseudonym = partial(pseudonym_of, key)
        self._signs = lru_cache(100_000)(partial(signs, rules))

    def agreed(self, batch: Batch, consents: Consents) -> pa.Table:
        """Return the rows of visitors who agreed when their events were collected, and still do.

        With each row's pseudonym, day, and the place of its message among those of the batch.
        """
        columns = batch.columns
        visitors = batch.visitors()
        carried = columns["consent_epoch"].fill_null(NO_EPOCH).to_numpy()
        codes = consents.refusals(visitors, self.purpose, carried)
        for code, reason in enumerate(REFUSALS):
            if reason is not None:
                batch.remark(reason, np.count_nonzero(codes == code))
        agreed = pa.array(codes == 0)
        whose = pa.array(visitors, pa.binary()).filter(agreed).dictionary_encode()
        names = [self._pseudonym(each) for each in whose.dictionary.to_pylist()]
        rows = pa.table({name: columns[name] for name in READ}).filter(agreed)
        days = batch.numbers("occurred_at")[codes == 0] // DAY_MS
        made = {
            "pseudonym": pa.array(names, pa.string()).take(whose.indices),
            "day": pa.array(days),
            "message": pa.array(batch.index[codes == 0]),
        }
        for name, column in made.items():
            rows = rows.append_column(name, column)
        return rows

    def signs(self, rows: pa.Table) -> Signs:
        """Return what events are signs of: cities where one is known, interests by how many."""
        located = rows.filter(pc.not_equal(rows["city"], ""))
        seen = located.group_by(["pseudonym", "day", "country", "city"]).aggregate([])
        cities = [
            Seen(row["pseudonym"], City(row["country"], row["city"]), row["day"])
            for row in seen.to_pylist()
        ]
        did = rows.group_by(["pseudonym", "day", "page", "search_terms"])
        interests: Counter[Seen] = Counter()
        for row in did.aggregate([([], "count_all")]).to_pylist():
            for name in self._signs(row["page"], row["search_terms"]):
                interests[Seen(row["pseudonym"], name, row["day"])] += row["count_all"]
        return Signs(cities, interests)


class ProfilesLane:
    """Runs the profiler until told to stop. One thread, one consumer."""

    name = "profiles"

    def __init__(
        self,
        profiler: Profiler,
        rules: Callable[[], Rules],
        consents: Consents,
        ledger: Ledger,
        *,
        consumer: Consumer,
        known: Callable[[threading.Event], bool],
        batch: int,
        wait: float,
        clock: Callable[[], int],
    ) -> None:
        """Read what ``consumer`` subscribes to, ``batch`` messages at a time, ``wait`` s for them.

        ``known`` waits until all consents acknowledged before are known to ``consents``; False when
        told to stop first. ``clock`` tells the milliseconds since 1970.
        """
        self._profiler = profiler
        self._rules = rules
        self._consents = consents
        self._ledger = ledger
        self._consumer = consumer
        self._known = known
        self._most = batch
        self._wait = wait
        self._clock = clock
        self._in_hand: Sequence[Source] = ()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; while the ledger is away, wait for it."""
        try:
            take_turns(partial(self._turn, stop), stop)
        finally:
            self._consumer.close()

    def _turn(self, stop: threading.Event) -> None:
        """Pass on what is in hand, which it is until the ledger has it; then there may be more."""
        if not self._in_hand:
            self._in_hand = poll(self._consumer, self._most, self._wait)
        # After reading: what visitors chose before their events came is known then.
        if self._in_hand and self._known(stop):
            self._pass(self._in_hand)
            self._in_hand = ()

    def _pass(self, messages: Sequence[Source]) -> None:
        batch = consented(self._rules(), messages, self._clock(), PATH)
        rows = self._profiler.agreed(batch, self._consents)
        lie = [Position(each.topic(), each.partition(), each.offset()) for each in messages]
        with self._ledger.transaction() as connection:
            new = np.array(inbox.first(connection, self.name, lie))
            rows = rows.filter(pa.array(new[rows["message"].to_numpy()]))
            visitors = set(_visitors(rows))
            still = self._still(rows, recorded.locked(connection, visitors))
            profiles.add(connection, self._profiler.signs(rows.filter(pa.array(still, pa.bool_()))))
        batch.remark(Reason.CONSENT_WITHDRAWN, still.count(False))
        commit(self._consumer, messages)
        metrics.batch_done(self.name, still.count(True), (), batch.remarks)

    def _still(self, rows: pa.Table, held: Mapping[Visitor, Consent]) -> list[bool]:
        """Tell of which rows the visitor decided nothing else since, as far as the ledger knows."""
        purpose = self._profiler.purpose
        return [
            withheld(consent := held[visitor]) is None
            and ((standing := consent.standings.get(purpose)) is None or standing.since <= carried)
            for visitor, carried in zip(
                _visitors(rows), rows["consent_epoch"].to_pylist(), strict=True
            )
        ]


def _visitors(rows: pa.Table) -> list[Visitor]:
    return list(zip(rows["site"].to_pylist(), rows["cookie_id"].to_pylist(), strict=True))
