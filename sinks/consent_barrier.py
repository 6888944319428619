"""What every visitor chose, read from the consent topics and held in memory (S14, S15).

The state is loaded from ``consent-state`` and continued from ``consent-changes`` itself, not from
what the ledger made of it: whatever was acknowledged before ``barrier`` is known after it.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from privacy.consent import Change, Consent, Decision, Standing, epoch_of
from privacy.standings import Standings
from privacy.tracking import key
from schemas.codec import WireError, decode
from sinks.kafka import consumer, partitions

STATE = "consent-state"
CHANGES = "consent-changes"
ASIDE = "consents"  # the group of who has to name one: nothing is committed in it
RECORDER = "consent"  # the lane that makes states of changes, by its group
AT_ONCE = 10_000
LOAD_SECONDS = 10.0  # for each answer while the state is loaded


class ConsentUnknownError(RuntimeError):
    """Raised when it cannot be told what visitors chose: nothing may be used or sent then."""


class Consents:
    """The consents of all partitions. Safe to use from several threads.

    ``prefix`` is put before topic names, ``purposes`` are those that are asked for.
    """

    def __init__(
        self, bootstrap: str, options: Mapping[str, str], prefix: str, purposes: Sequence[str]
    ) -> None:
        self._bootstrap = bootstrap
        self._options = options
        self._group = prefix + ASIDE
        self._recorder = prefix + RECORDER
        self._state = prefix + STATE
        self._changes = prefix + CHANGES
        self._purposes = purposes
        self._lock = threading.Lock()
        self._standings = Standings(purposes)
        self._consumer: Consumer | None = None
        # Ends are asked for on a connection of its own: on the other one they would wait behind
        # fetches, which the broker holds back until there is something.
        self._asking: Consumer | None = None
        self._next: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._standings)

    def barrier(self, seconds: float = 2.0) -> Mapping[int, int]:
        """Apply all changes acknowledged before this call; return the next offset by partition.

        Loads the state first when that has not been done. Raises ConsentUnknownError when it
        takes longer than ``seconds`` or the broker does not answer; loading may take its time.
        """
        with self._lock:
            try:
                if self._consumer is None:
                    self._load()
                return self._catch_up(time.monotonic() + seconds)
            except KafkaException as error:
                self._forget()
                raise ConsentUnknownError(error.args[0].name()) from None
            except ConsentUnknownError:
                self._forget()
                raise

    def refusals(
        self, visitors: Sequence[bytes | None], purpose: str, carried: np.ndarray
    ) -> np.ndarray:
        """Return why events may not be used, as ``Standings.refusals``."""
        with self._lock:
            return self._standings.refusals(visitors, purpose, carried)

    def denied(self, visitors: Sequence[bytes | None], purpose: str) -> np.ndarray:
        """Tell which visitors said no to a purpose."""
        with self._lock:
            return self._standings.denied(visitors, purpose)

    def given(self, visitors: Sequence[bytes | None], purpose: str) -> np.ndarray:
        """Tell which visitors said yes to a purpose."""
        with self._lock:
            return self._standings.given(visitors, purpose)

    def withheld(self, visitors: Sequence[bytes | None]) -> np.ndarray:
        """Return whose events a right forbids to use for anything, as ``Standings.withheld``."""
        with self._lock:
            return self._standings.withheld(visitors)

    def close(self) -> None:
        """Let go of the broker; the next barrier loads again."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        for each in (self._consumer, self._asking):
            if each is not None:
                each.close()
        self._consumer = self._asking = None

    def _load(self) -> None:
        """Read the compacted state, then stand where it ends in the changes."""
        source = self._consumer = consumer(self._bootstrap, self._group, self._options)
        self._asking = consumer(self._bootstrap, self._group, self._options)
        standings = Standings(self._purposes)
        applied = self._recorded(partitions(source, self._state))
        source.assign([TopicPartition(self._state, each, OFFSET_BEGINNING) for each in applied])
        ends = self._ends(self._state, applied, LOAD_SECONDS)
        position = {each: low for each, (low, _) in ends.items()}
        while any(position[each] < high for each, (_, high) in ends.items()):
            for message in source.consume(AT_ONCE, 0.5):
                if message.error() is not None:
                    raise KafkaException(message.error())
                partition = message.partition()
                position[partition] = message.offset() + 1
                if message.value() is None:  # somebody was erased
                    standings.forget(message.key())
                    continue
                try:
                    state = decode("consent_state", message.value())
                except WireError as error:
                    raise ConsentUnknownError(f"a state cannot be read: {error.fault}") from None
                standings.put(message.key(), _consent(state))
        self._next = {}
        for each, (low, _) in self._ends(self._changes, applied, LOAD_SECONDS).items():
            self._next[each] = applied[each] + 1
            if self._next[each] < low:
                raise ConsentUnknownError(
                    "changes were deleted before the ledger had them: its agent must have run"
                )
        source.assign([TopicPartition(self._changes, *item) for item in self._next.items()])
        self._standings = standings

    def _recorded(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return by partition the last change of which all states are sent, -1 for none.

        The lane commits a change once its state is sent. What the states say of themselves is not
        enough: those of visitors who were erased are gone, and where the lane reads changes again
        from a backup's place, some have newer states than others. Changes that a state knows
        already change nothing.
        """
        lane = consumer(self._bootstrap, self._recorder, self._options)
        try:
            places = [TopicPartition(self._changes, each) for each in numbers]
            return {
                each.partition: max(each.offset, 0) - 1
                for each in lane.committed(places, timeout=LOAD_SECONDS)
            }
        finally:
            lane.close()

    def _catch_up(self, deadline: float) -> Mapping[int, int]:
        source = self._consumer
        assert source is not None  # noqa: S101 - barrier made it
        left = max(0.1, deadline - time.monotonic())
        found = self._ends(self._changes, self._next, left)
        ends = {each: high for each, (_, high) in found.items()}
        while any(self._next[each] < end for each, end in ends.items()):
            if time.monotonic() > deadline:
                raise ConsentUnknownError("the consent changes could not be read in time")
            first = source.poll(0.05)
            for message in [first, *source.consume(AT_ONCE, 0)] if first is not None else ():
                if message.error() is not None:
                    raise KafkaException(message.error())
                self._apply(message)
                self._next[message.partition()] = message.offset() + 1
        return dict(self._next)

    def _apply(self, message: Message) -> None:
        epoch = epoch_of(message.offset())
        visitor = message.key() or b""
        change = read_change(message)
        if change is None:
            # Passing over what cannot be read could pass over a withdrawal.
            self._standings.deny(visitor, epoch)
            return
        self._standings.apply(
            visitor,
            Change(change["change_id"], change["purpose"], Decision(change["decision"]), epoch),
        )

    def _ends(
        self, topic: str, numbers: Iterable[int], seconds: float
    ) -> Mapping[int, tuple[int, int]]:
        asking = self._asking
        assert asking is not None  # noqa: S101 - made with the consumer
        return {
            each: asking.get_watermark_offsets(TopicPartition(topic, each), timeout=seconds)
            for each in numbers
        }


def _consent(state: Mapping[str, Any]) -> Consent:
    return Consent(
        state["epoch"],
        {
            purpose: Standing(Decision(each["decision"]), each["since"], each["change"])
            for purpose, each in state["standings"].items()
        },
        frozenset(state["spent"]),
    )


def read_change(message: Message) -> Mapping[str, Any] | None:
    """Read a consent change; None for one that counts as a no to everything.

    It cannot be read, is not of the visitor it is filed under, or holds a NUL, which no database
    takes everywhere and no entrance lets in.
    """
    try:
        change = decode("consent_change", message.value())
    except WireError:
        return None
    if key(change) != (message.key() or b""):
        return None
    texts = (each for each in change.values() if isinstance(each, str))
    return None if any("\0" in each for each in texts) else change
