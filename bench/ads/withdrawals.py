"""Visitors who withdraw while their events are delivered: ``consent-changes`` in memory."""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from confluent_kafka import TopicPartition
from sqlalchemy import func, select

from bench.ads.kafka import Message, Writer
from bench.ads.traffic import EACH, GIVEN, POLICY, cookie, epoch, partition, site
from privacy.consent import Decision
from privacy.policy import Covers
from schemas.codec import encode
from sinks.consent_barrier import CHANGES, STATE
from sinks.ledger import consents, reached, tables
from sinks.ledger.consents import ConsentChange
from sinks.ledger.deliveries import State
from sinks.ledger.ledger import Ledger
from streams.lanes.consent import ConsentLane
from streams.shared import now

PURPOSE = "ads-measurement"
RATE = 50  # a second


class Withdrawals:
    """A consumer of the visitors' withdrawals, and what a barrier finds on their topic.

    ``visitors`` withdraw one after the other, ``RATE`` a second since ``began`` (milliseconds
    since 1970). ``first`` is the first one's offset: their consents began before.
    """

    def __init__(self, visitors: Sequence[bytes], first: int, began: int) -> None:
        self._times = [began + number * 1000 // RATE for number in range(len(visitors))]
        self._messages = [
            _message(visitor, first + number, at)
            for number, (visitor, at) in enumerate(zip(visitors, self._times, strict=True))
        ]
        self._read = 0

    def __len__(self) -> int:
        return len(self._messages)

    def arriving(self) -> Callable[[], Iterator[Message]]:
        """Return what gives, each time, those that were acknowledged since the time before."""
        given = 0

        def new() -> Iterator[Message]:
            nonlocal given
            before, given = given, self._arrived()
            return iter(self._messages[before:given])

        return new

    def lane(self, ledger: Ledger) -> ConsentLane:
        """Return the consent lane that reads them."""
        return ConsentLane(
            CHANGES,
            STATE,
            ledger,
            purposes=tuple(POLICY.purposes),
            ads=tuple(POLICY.covering(Covers.ADS)),
            consumer=self,
            producer=Writer(keeps=False),
        )

    def subscribe(self, topics: Sequence[str], on_assign: Callable[..., None]) -> None:
        """Assign all partitions at once."""
        places = {each.partition() for each in self._messages}
        on_assign(self, [TopicPartition(topics[0], each) for each in places])

    def consume(self, most: int, seconds: float) -> Sequence[Message]:
        """Return up to ``most`` that were acknowledged, or wait."""
        found = self._messages[self._read : min(self._arrived(), self._read + most)]
        self._read += len(found)
        if not found:
            time.sleep(seconds)
        return found

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        """Do nothing: nobody reads this twice."""

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _arrived(self) -> int:
        return bisect_right(self._times, now())


def remember(ledger: Ledger, visitors: int) -> None:
    """Have the ledger know who of so many visitors gave the consent that may be withdrawn."""
    changes = [
        ConsentChange(
            site=site(each),
            visitor=cookie(each),
            offset=epoch(each) - 1,
            partition=0,
            id=f"change-{each}",
            purpose=PURPOSE,
            decision=Decision.GIVEN,
            notice_id="bench",
            notice_version="1",
            language="en",
            how="banner",
            occurred_at=1,
            recorded_at=1,
        )
        for each in range(visitors)
        if each % EACH < GIVEN
    ]
    with ledger.transaction() as connection:
        consents.record(connection, changes, ads=())


def effective(ledger: Ledger) -> int:
    """Return how many withdrawals are effective with nothing left to be removed for them."""
    query = select(func.count()).where(tables.withdrawals.c.effective_at.is_not(None))
    with ledger.reading() as connection:
        return 0 if reached.waiting(connection) else connection.scalar(query) or 0


def took(ledger: Ledger) -> Mapping[str, float]:
    """Return how long withdrawals took to be effective, in seconds."""
    columns = tables.withdrawals.c
    with ledger.reading() as connection:
        times = list(connection.scalars(select(columns.effective_at - columns.recorded_at)))
    median, late = np.percentile(times, [50, 99]) / 1000
    return {"count": len(times), "median": median, "p99": late, "longest": max(times) / 1000}


def dropped(ledger: Ledger) -> Mapping[str, int]:
    """Return by provider how many events were not sent, as their visitors had withdrawn."""
    columns = tables.deliveries.c
    query = select(columns.provider, func.count()).where(columns.state == State.DROPPED)
    with ledger.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(columns.provider))}


def _message(visitor: bytes, offset: int, at: int) -> Message:
    name, _, cookie_id = visitor.decode().partition("|")
    content = {
        "change_id": f"withdrawal-{offset}",
        "site": name,
        "cookie_id": cookie_id,
        "purpose": PURPOSE,
        "decision": Decision.WITHDRAWN.value,
        "how": "settings",
        "occurred_at": at,
        "received_at": at,
    }
    place = CHANGES, partition(visitor), offset
    return Message(encode("consent_change", content), place, at, visitor)
