"""The benchmark's visitors, what they chose, and their events on the way to ad providers."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow as pa

from bench.ads.kafka import Message
from bench.events import SITES
from bench.events import events as tracking_events
from privacy.consent import Change, Consent, Decision, Standing, epoch_of
from privacy.standings import Standings
from schemas.codec import decode
from schemas.columns import decode_batch, encode_batch
from schemas.registry import topics
from streams.policy import load as load_policy

POLICY = load_policy(Path(__file__).parent / "policy.toml")
HOUR_MS = 3_600_000

# Of ten visitors three said yes, two took it back, five said no.
GIVEN, WITHDRAWN, EACH = 3, 5, 10
_SPREAD = 0x9E3779B97F4A7C15  # odd: no two visitors get one cookie


def site(visitor: int) -> str:
    return SITES[visitor % len(SITES)]


def cookie(visitor: int) -> str:
    return f"{visitor * _SPREAD % 2**64:016x}"


def key(visitor: int) -> bytes:
    return f"{site(visitor)}|{cookie(visitor)}".encode()


def partition(visitor: bytes) -> int:
    """Return the partition of a visitor's key, of events and consents alike."""
    return crc32(visitor) % topics()["consent-changes"].partitions


def epoch(visitor: int) -> int:
    return visitor + 1


def choose(standings: Standings, visitors: int) -> None:
    """Put in what so many visitors chose about every purpose of the policy."""
    for visitor in range(visitors):
        kind, since = visitor % EACH, epoch(visitor)
        if kind < GIVEN:
            decision, spent = Decision.GIVEN, frozenset[str]()
        elif kind < WITHDRAWN:
            decision, spent = Decision.WITHDRAWN, frozenset({f"given-{visitor}"})
            since += visitors
        else:
            decision, spent = Decision.REFUSED, frozenset[str]()
        standing = Standing(decision, since, f"change-{visitor}")
        standings.put(key(visitor), Consent(since, dict.fromkeys(POLICY.purposes, standing), spent))


class Choices:
    """Consents in memory, known at once; see ``sinks.consent_barrier.Consents``.

    ``changes`` are read by each barrier: those that came since the last one.
    """

    def __init__(self, visitors: int) -> None:
        self.standings = Standings(list(POLICY.purposes))
        choose(self.standings, visitors)
        self.changes: Callable[[], Iterable[Message]] = tuple
        self._passed = dict.fromkeys(range(topics()["consent-changes"].partitions), 1)
        self._lock = threading.Lock()

    def barrier(self) -> Mapping[int, int]:
        """Apply what was acknowledged before the call; return the next offset by partition."""
        with self._lock:
            for message in self.changes():
                self._apply(message)
                self._passed[message.partition()] = message.offset() + 1
            return dict(self._passed)

    def refusals(
        self, visitors: Sequence[bytes | None], purpose: str, carried: np.ndarray
    ) -> np.ndarray:
        """Return why events may not be used, as ``Standings.refusals``."""
        with self._lock:
            return self.standings.refusals(visitors, purpose, carried)

    def withheld(self, visitors: Sequence[bytes | None]) -> np.ndarray:
        """Return whose events a right forbids to use, as ``Standings.withheld``."""
        with self._lock:
            return self.standings.withheld(visitors)

    def _apply(self, message: Message) -> None:
        change = decode("consent_change", message.value())
        self.standings.apply(
            message.key() or b"",
            Change(
                change["change_id"],
                change["purpose"],
                Decision(change["decision"]),
                epoch_of(message.offset()),
            ),
        )


def events(count: int, visitors: int, consented: float, withdrawn: float) -> Iterator[list[bytes]]:
    """Yield framed tracking events of the last hour.

    A share of them under a consent that stands, a share under one taken back, the rest under none.
    """
    random = np.random.default_rng(2)
    now = time.time_ns() // 1_000_000
    for chunk in tracking_events(count):
        rows = decode_batch("tracking_event", chunk).rows
        size = rows.num_rows
        tens = (visitors // EACH * random.random(size) ** 1.5).astype(np.int64) * EACH
        dice = random.random(size)
        standing, spent = dice < consented, (dice >= consented) & (dice < consented + withdrawn)
        kinds = np.select(
            [standing, spent],
            [random.integers(GIVEN, size=size), random.integers(GIVEN, WITHDRAWN, size)],
            random.integers(WITHDRAWN, EACH, size),
        )
        who, named = (tens + kinds).tolist(), (standing | spent).tolist()
        times = pa.array(now - random.integers(HOUR_MS, size=size), pa.timestamp("ms"))
        columns = {
            "occurred_at": times,
            "received_at": times,
            "site": [site(each) for each in who],
            "cookie_id": [cookie(each) for each in who],
            "consent_epoch": [epoch(w) if n else None for w, n in zip(who, named, strict=True)],
            "ad_ids": [_ids(w) if n else None for w, n in zip(who, named, strict=True)],
        }
        for name, column in columns.items():
            place = rows.schema.get_field_index(name)
            field = rows.schema.field(place)
            rows = rows.set_column(place, field, pa.array(column, field.type))
        yield encode_batch("tracking_event", rows)


def _ids(visitor: int) -> dict[str, str]:
    return {
        "gclid": f"example-{visitor}",
        "fbp": f"fb.1.1795424000000.{visitor}",
        "li_fat_id": f"00000000-0000-4000-8000-{visitor:012}",
        "twclid": f"example{visitor}",
        "ga_client_id": f"{visitor}.1795424000",
    }
