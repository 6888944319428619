"""A batch of tracking events in columns, on its way through the anonymise lane's steps."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import SupportsIndex, SupportsInt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from privacy.outcome import Reason, Reject
from streams.lanes.source import Source


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a batch: values to publish, refusals, and how many values were left out."""

    values: list[bytes]
    rejects: list[tuple[Source, Reject]]
    remarks: Counter[Reason]


class Batch:
    """Columns by name, and which message each row came from.

    A step that may end an event's path marks rows with ``reject``; they stay in place, so that
    columns keep their length, and leave at the end of the requirements with ``leave_rejected``.
    """

    def __init__(
        self, rows: pa.RecordBatch, messages: Sequence[Source], index: NDArray[np.int64], now: int
    ) -> None:
        self.columns: dict[str, pa.Array] = dict(zip(rows.schema.names, rows.columns, strict=True))
        self.messages = messages
        self.index = index
        self.now = now
        self.rejects: list[tuple[Source, Reject]] = []
        self.remarks: Counter[Reason] = Counter()
        self._rejected = np.zeros(len(index), dtype=bool)

    def __len__(self) -> int:
        return len(self.index)

    def reject(self, rows: np.ndarray, reason: Reason, step: str, *fields: str) -> None:
        """Refuse the rows that the mask shows, unless an earlier step did."""
        new = rows & ~self._rejected
        if new.any():
            self._rejected |= new
            refusal = Reject(reason, step, fields)
            self.rejects += [(self.source(row), refusal) for row in np.flatnonzero(new)]

    def leave_rejected(self) -> None:
        """Take the refused rows out of every column."""
        if self._rejected.any():
            keep = ~self._rejected
            mask = pa.array(keep)
            self.columns = {name: column.filter(mask) for name, column in self.columns.items()}
            self.index = self.index[keep]
            self._rejected = np.zeros(len(self.index), dtype=bool)

    def drop(self, unwanted: Mapping[Reason, np.ndarray]) -> None:
        """Take rows out at once that nothing is wrong with; count each under its first reason."""
        for reason, rows in unwanted.items():
            self.remark(reason, np.count_nonzero(rows & ~self._rejected))
            self._rejected |= rows
        self.leave_rejected()

    def visitors(self) -> list[bytes | None]:
        """Return each row's key as on the topics, ``site|cookie id``; None without a cookie."""
        joined = pc.binary_join_element_wise(self.columns["site"], self.columns["cookie_id"], "|")
        keys: list[bytes | None] = joined.cast(pa.binary()).to_pylist()
        return keys

    def remark(self, reason: Reason, rows: SupportsInt) -> None:
        """Count values that were left out of events that go on."""
        if int(rows):
            self.remarks[reason] += int(rows)

    def source(self, row: SupportsIndex) -> Source:
        """Return the message that ``row`` came from."""
        return self.messages[int(self.index[row])]

    def numbers(self, name: str) -> np.ndarray:
        """Return a column of numbers, null as 0, times as milliseconds."""
        column = self.columns[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        numbers: np.ndarray = column.fill_null(0).to_numpy(zero_copy_only=False)
        return numbers

    def given(self, name: str) -> np.ndarray:
        """Tell which rows have a value in the column."""
        given: np.ndarray = self.columns[name].is_valid().to_numpy(zero_copy_only=False)
        return given
