"""Compute once for each distinct text of a column, and remember it for the next batches.

Pages, referrers, browsers and networks repeat, so most rows cost one look-up.
"""

from collections.abc import Callable, Sequence
from itertools import filterfalse
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Result = TypeVar("Result")


class Memo(Generic[Result]):
    """Remembers what ``compute`` made of a text, for at most ``limit`` texts.

    ``compute`` takes the texts not seen before and returns a result for each; ``absent`` is the
    result of a null. A full memory is emptied: simple, bounded, and refilled within a batch or two.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[str]], Sequence[Result]],
        absent: Result,
        limit: int = 500_000,
    ) -> None:
        self._compute = compute
        self._absent = absent
        self._limit = limit
        self._known: dict[str, Result] = {}

    def __call__(self, column: pa.StringArray) -> tuple[np.ndarray, list[Result]]:
        """Return each row's place in the list of results, and that list."""
        coded = column.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        known = self._known
        new = list(filterfalse(known.__contains__, texts))
        if new:
            if len(known) + len(new) > self._limit:
                known.clear()
                new = texts
            known.update(zip(new, self._compute(new), strict=True))
        places = pc.fill_null(coded.indices, len(texts)).to_numpy(zero_copy_only=False)
        return places, [*map(known.__getitem__, texts), self._absent]

    def clear(self) -> None:
        """Forget everything, when what ``compute`` stands on has changed."""
        self._known.clear()
