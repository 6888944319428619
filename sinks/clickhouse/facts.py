"""Loads anonymised events, each offset range exactly once."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from sinks.clickhouse.client import PINNED, Client

# Tokens ClickHouse remembers for the table: each insert takes one a month of events it holds.
WINDOW: Final = 10_000


class UnsafeTableError(RuntimeError):
    """Raised when the server would not drop what is inserted twice."""


class FactsWriter:
    """Writes to ``facts``. ``client`` is ``writer``."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._checked = False

    def check(self) -> None:
        """Read back what exactly-once rests on; raise UnsafeTableError when it is not so."""
        ((definition,),) = self._client.query("SHOW CREATE TABLE facts")
        kind = "replicated" if "Replicated" in definition else "non_replicated"
        window = re.search(rf"\b{kind}_deduplication_window = (\d+)", definition)
        if window is None or int(window[1]) < WINDOW:
            raise UnsafeTableError(f"facts: {kind}_deduplication_window must be {WINDOW} at least")
        for name, value in PINNED.items():
            ((found,),) = self._client.query(
                "SELECT toString(getSetting(%(name)s))", {"name": name}, PINNED
            )
            if _plain(found) != str(value):
                raise UnsafeTableError(f"the server does not let {name} be {value}")
        self._checked = True

    def write(self, columns: Mapping[str, pa.Array], token: str) -> None:
        """Insert the rows of an offset range unless ``token`` was inserted before.

        ``columns`` are those of ``anonymised_event``, each of n values, as one block: after a
        crash in the middle the same rows with the same token complete it. Returns when
        ClickHouse has them.
        """
        if not self._checked:
            self.check()
        rows = {name: convert(columns[name]) for name, convert in _COLUMNS.items()}
        self._client.insert_columns("facts", rows, token=token)


def _plain(value: str) -> str:
    return {"true": "1", "false": "0"}.get(value, value)


def _number(kind: pa.DataType) -> Callable[[pa.Array], np.ndarray]:
    """Return a conversion that refuses numbers which ``kind`` cannot hold."""
    return lambda column: column.cast(kind).to_numpy(zero_copy_only=False)


def _text(column: pa.Array) -> np.ndarray:
    array: np.ndarray = column.cast(pa.binary()).to_numpy(zero_copy_only=False)
    return array


def _words(column: pa.Array) -> np.ndarray:
    """Convert text that repeats itself: each different value once."""
    encoded = column.dictionary_encode()
    words: np.ndarray = _text(encoded.dictionary)[encoded.indices.to_numpy()]
    return words


_COLUMNS: Final[Mapping[str, Callable[[pa.Array], np.ndarray]]] = {
    "event_id": _text,
    "occurred_at": _number(pa.int64()),
    "site": _words,
    "type": _words,
    "name": _words,
    "page": _words,
    "referrer": _words,
    "search_terms": _words,
    "status": _number(pa.uint16()),
    "country": _words,
    "city": _words,
    "browser": _words,
    "browser_version": _words,
    "bot": _number(pa.bool_()),
    "visitor": _number(pa.int64()),
}
