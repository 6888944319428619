"""The consents of many visitors in columns: what ``privacy.consent`` says of one, for a batch.

Visitors are keys as on the topics (``site|cookie id``). A property test holds this equal to
``privacy.consent.apply`` and ``refusal``. Without locks: one thread, or a lock around it.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privacy.consent import RESERVED, Change, Consent, Decision, is_forgetting, once
from privacy.outcome import Reason

# What ``refusals`` returns: 0 is none, others are places in this tuple.
REFUSALS = (
    None,
    Reason.ADS_WITHOUT_CONSENT,
    Reason.CONSENT_UNKNOWN,
    Reason.CONSENT_WITHDRAWN,
    Reason.CONSENT_OF_ANOTHER_TIME,
    *RESERVED.values(),
)
NO_EPOCH = -1  # of an event that carries none

_Numbers = NDArray[Any]
_DECISIONS = tuple(Decision)
_CODES = {decision: code for code, decision in enumerate(_DECISIONS)}


class Standings:
    """A row a visitor, and for each purpose the epoch since which it is given.

    Epochs are positive: a purpose's column holds it where consent is given, its negative where it
    is denied, and 0 where nobody was asked. About 300 MB for a million visitors and four purposes.
    """

    def __init__(self, purposes: Sequence[str]) -> None:
        """Hold ``purposes`` and ``RESERVED``; of others, changes grow the epoch and no more."""
        names = dict.fromkeys((*purposes, *RESERVED))
        self._rows: dict[bytes, int] = {}
        self._epochs: _Numbers = np.zeros(1024, np.int64)
        self._since: dict[str, _Numbers] = {each: np.zeros(1024, np.int64) for each in names}
        self._changes: dict[str, _Numbers] = {each: np.zeros(1024, np.int64) for each in names}
        self._decisions = {each: np.zeros(1024, np.int8) for each in names}
        self._spent: dict[int, set[int]] = {}
        # Most of the time there is no restriction at all, and nobody need be looked up.
        self._withholds = False

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, visitor: bytes, consent: Consent) -> None:
        """Set a visitor's consent, unless a later one is held."""
        row = self._row(visitor)
        if consent.epoch <= self._epochs[row]:
            return
        self._epochs[row] = consent.epoch
        for purpose in self._since:
            if (standing := consent.standings.get(purpose)) is not None:
                self._decide(row, purpose, standing.decision, standing.since, standing.change)
        if consent.spent:
            self._spent[row] = {_digest(each) for each in consent.spent}

    def apply(self, visitor: bytes, change: Change) -> None:
        """Take one change in, as ``privacy.consent.apply`` does."""
        row = self._row(visitor)
        if change.epoch <= self._epochs[row]:
            return
        given = change.decision == Decision.GIVEN
        if given and _digest(once(change.purpose, change.id)) in self._spent.get(row, ()):
            return
        self._epochs[row] = change.epoch
        if is_forgetting(change.purpose, change.decision):
            self._clear(row)
            return
        since = self._since.get(change.purpose)
        if since is None:
            return
        if since[row] and self._decision(row, change.purpose) == change.decision:
            return
        if since[row] > 0:
            over = int(self._changes[change.purpose][row])
            self._spent.setdefault(row, set()).add(over)
        self._decide(row, change.purpose, change.decision, change.epoch, change.id)

    def deny(self, visitor: bytes, epoch: int) -> None:
        """Take in a change that cannot be read, as ``privacy.consent.deny`` does."""
        row = self._row(visitor)
        if epoch <= self._epochs[row]:
            return
        self._epochs[row] = epoch
        for purpose, since in self._since.items():
            if purpose in RESERVED:
                continue
            if since[row] > 0:
                self._spent.setdefault(row, set()).add(int(self._changes[purpose][row]))
            self._decide(row, purpose, Decision.WITHDRAWN, epoch, "")

    def forget(self, visitor: bytes) -> None:
        """Know nothing of a visitor any more, as of one that was never put."""
        if (row := self._rows.get(visitor)) is not None:
            self._epochs[row] = 0
            self._clear(row)

    def refusals(
        self, visitors: Sequence[bytes | None], purpose: str, carried: _Numbers
    ) -> NDArray[np.int8]:
        """Return, as places in REFUSALS, why events may not be used for an opt-in purpose.

        ``carried`` are the epochs the events were collected under, ``NO_EPOCH`` for none.
        """
        rows = self._found(visitors)
        held = rows >= 0
        since = np.where(held, self._since[purpose][rows], 0)
        epochs = np.where(held, self._epochs[rows], 0)
        codes = np.select(
            [carried == NO_EPOCH, since == 0, since < 0, (carried < since) | (carried > epochs)],
            [np.int8(1), np.int8(2), np.int8(3), np.int8(4)],
            np.int8(0),
        )
        if self._withholds:
            withheld = self._withheld(rows)
            codes = np.where(withheld > 0, withheld, codes)
        return codes

    def withheld(self, visitors: Sequence[bytes | None]) -> NDArray[np.int8]:
        """Return, as places in REFUSALS, whose events a right forbids to use for anything."""
        if not self._withholds:
            return np.zeros(len(visitors), np.int8)
        return self._withheld(self._found(visitors))

    def denied(self, visitors: Sequence[bytes | None], purpose: str) -> NDArray[np.bool_]:
        """Tell which visitors said no to a purpose: what an opt-out purpose asks."""
        rows = self._found(visitors)
        return (rows >= 0) & (self._since[purpose][rows] < 0)

    def given(self, visitors: Sequence[bytes | None], purpose: str) -> NDArray[np.bool_]:
        """Tell which visitors said yes to a purpose, whenever that was."""
        rows = self._found(visitors)
        return (rows >= 0) & (self._since[purpose][rows] > 0)

    def _withheld(self, rows: _Numbers) -> NDArray[np.int8]:
        held = rows >= 0
        return np.select(
            [held & (self._since[purpose][rows] > 0) for purpose in RESERVED],
            [np.int8(REFUSALS.index(reason)) for reason in RESERVED.values()],
            np.int8(0),
        )

    def _found(self, visitors: Sequence[bytes | None]) -> _Numbers:
        find: Callable[[bytes | None, int], int] = self._rows.get  # type: ignore[assignment]
        return np.fromiter((find(each, -1) for each in visitors), np.int64, len(visitors))

    def _row(self, visitor: bytes) -> int:
        row = self._rows.get(visitor)
        if row is None:
            row = self._rows[visitor] = len(self._rows)
            if row >= len(self._epochs):
                self._grow()
        return row

    def _grow(self) -> None:
        def longer(column: _Numbers) -> _Numbers:
            return np.concatenate([column, np.zeros(len(column) // 2, column.dtype)])

        self._epochs = longer(self._epochs)
        self._since = {name: longer(column) for name, column in self._since.items()}
        self._changes = {name: longer(column) for name, column in self._changes.items()}
        self._decisions = {name: longer(column) for name, column in self._decisions.items()}

    def _decision(self, row: int, purpose: str) -> Decision:
        code: int = self._decisions[purpose][row]
        return _DECISIONS[code]

    def _clear(self, row: int) -> None:
        for columns in (self._since, self._changes, self._decisions):
            for column in columns.values():
                column[row] = 0
        self._spent.pop(row, None)

    def _decide(self, row: int, purpose: str, decision: Decision, epoch: int, change: str) -> None:
        given = decision == Decision.GIVEN
        self._withholds |= given and purpose in RESERVED
        self._since[purpose][row] = epoch if given else -epoch
        self._changes[purpose][row] = _digest(once(purpose, change))
        self._decisions[purpose][row] = _CODES[decision]


def _digest(change: str) -> int:
    return int.from_bytes(blake2b(change.encode(), digest_size=8).digest(), "big", signed=True)
