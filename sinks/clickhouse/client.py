"""The one user of clickhouse-driver: queries and inserts that survive a lost connection.

An error says which of ClickHouse's codes it was and never what it was about: messages of the
server quote the statement and its values.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import clickhouse_driver
import numpy as np
from clickhouse_driver.errors import (
    Error,
    ErrorCodes,
    NetworkError,
    PartiallyConsumedQueryError,
    ServerException,
    SocketTimeoutError,
    UnexpectedPacketFromServerError,
)

# The driver logs a traceback for each try to connect; the errors below say it in a line.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)

# One native block holds a whole insert, so that its token stands for all of it.
MOST_ROWS: Final = 1_000_000
SILENCE_SECONDS: Final = 30.0

# Set with every insert: defaults change between releases and decide what is lost or doubled.
PINNED: Final[Mapping[str, int | str]] = {
    "async_insert": 0,
    "deduplicate_insert": "enable",
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # Old logs hold years, and each month is a partition.
    "max_partitions_per_insert_block": 0,
    # Duplicates within one insert are FINAL's business; looking for them here costs a third.
    "optimize_on_insert": 0,
}

_NAMES: Final = {code: name for name, code in vars(ErrorCodes).items() if not name.startswith("_")}

# What a server says that is there but cannot work now.
_PASSING: Final = {
    ErrorCodes.TIMEOUT_EXCEEDED,
    ErrorCodes.TOO_MANY_SIMULTANEOUS_QUERIES,
    ErrorCodes.SOCKET_TIMEOUT,
    ErrorCodes.NETWORK_ERROR,
    ErrorCodes.MEMORY_LIMIT_EXCEEDED,
    ErrorCodes.NOT_ENOUGH_SPACE,
    ErrorCodes.CANNOT_WRITE_TO_FILE_DESCRIPTOR,
    ErrorCodes.TABLE_IS_READ_ONLY,
    ErrorCodes.TOO_MANY_PARTS,
    ErrorCodes.UNKNOWN_STATUS_OF_INSERT,
    ErrorCodes.QUERY_WAS_CANCELLED,
    ErrorCodes.KEEPER_EXCEPTION,
    # A mutation that was stopped, by whoever dropped a partition of its table meanwhile.
    ErrorCodes.UNFINISHED,
    # What ran while the server was told to stop.
    ErrorCodes.ABORTED,
}
_LOST: Final = (
    NetworkError,
    SocketTimeoutError,
    PartiallyConsumedQueryError,
    UnexpectedPacketFromServerError,
    OSError,
    EOFError,
)


class ClickHouseError(RuntimeError):
    """Raised when ClickHouse refuses a statement; ``code`` is ClickHouse's, 0 the driver's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ClickHouse refused: {_NAMES.get(code, 'error')} ({code})")
        self.code = code


class ClickHouseDownError(RuntimeError):
    """Raised when ClickHouse cannot be reached or cannot work, after all retries."""


@dataclass(frozen=True, slots=True)
class Table:
    """A small table sent along with a query; ``columns`` are types by name."""

    name: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]

    def driver(self) -> dict[str, Any]:
        """Return it in the driver's form."""
        return {"name": self.name, "structure": list(self.columns.items()), "data": list(self.rows)}


class Client:
    """A connection as one of ``roles.USERS``, made at the first use and again when it is lost.

    Whatever is sent may be sent twice, when an answer is lost: statements must bear that, and
    inserts carry a token. ``patience`` is how long (seconds) to go on trying; 0 tries once. A
    connection of which nothing comes for ``silence`` seconds is lost. For one thread at a time.

    ``secure``: over TLS 1.2 or later, to whom ``ca`` (a file in PEM; None: whom this machine
    trusts) certifies for the name ``host``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        database: str,
        user: str,
        password: str,
        *,
        secure: bool = False,
        ca: Path | None = None,
        patience: float = 10.0,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self.database = database
        self._patience = patience
        # Without a database: the embedded engine aborts when a greeting names one it does not have.
        self._driver = clickhouse_driver.Client(
            host,
            port=port,
            user=user,
            password=password,
            secure=secure,
            verify=True,
            check_hostname=True,
            ca_certs=None if ca is None else str(ca),
            client_name="lethe",
            connect_timeout=5,
            send_receive_timeout=silence,
            tcp_keepalive=True,
        )

    def create_database(self) -> None:
        """Create the database unless it is there; everything else needs it."""
        statement = f"CREATE DATABASE IF NOT EXISTS {self.database}"
        self._retried(lambda: self._driver.execute(statement), inside=False)

    def time(self) -> int:
        """Return the time by the server's clock, in seconds since 1970."""
        ((seconds,),) = self.query("SELECT toUnixTimestamp(now())")
        return int(seconds)

    def query(
        self,
        statement: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        table: Table | None = None,
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT. ``%(name)s`` in it stands for a parameter, escaped.

        ``table`` is there for this query alone, for what is too much for a parameter.
        """
        rows: list[tuple[Any, ...]] = self._retried(
            lambda: self._driver.execute(
                statement,
                dict(parameters) if parameters else None,
                settings=dict(settings or {}),
                external_tables=[table.driver()] if table else None,
            )
        )
        return rows

    def execute(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns nothing and may be run twice."""
        self.query(statement, parameters)

    def insert_columns(self, table: str, columns: Mapping[str, np.ndarray], *, token: str) -> None:
        """Insert columns of equal length as one block, unless ``token`` was inserted before.

        Numbers as arrays of numbers, DateTime64 as integers in its own unit, strings (also
        LowCardinality) as arrays of bytes objects, which the driver need not encode. Raise
        ValueError above ``MOST_ROWS`` rows.
        """
        if len(next(iter(columns.values()))) > MOST_ROWS:
            raise ValueError(f"more than {MOST_ROWS} rows in one insert")
        self._insert(
            table,
            columns,
            {"insert_deduplication_token": token, "use_numpy": True, "strings_as_bytes": True},
        )

    def insert_rows(
        self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]], *, token: str
    ) -> None:
        """Insert rows of any types, unless ``token`` was inserted before; for small tables."""
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        self._insert(table, columns, {"insert_deduplication_token": token})

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._driver.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _insert(self, table: str, columns: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES"
        self._retried(
            # A dict of its own each time: the driver takes its settings out of it.
            lambda: self._driver.execute(
                statement,
                list(columns.values()),
                columnar=True,
                settings={**PINNED, **settings, "insert_block_size": MOST_ROWS},
            )
        )

    def _retried(self, work: Callable[[], Any], *, inside: bool = True) -> Any:
        deadline = time.monotonic() + self._patience
        wait = 0.05
        while True:
            try:
                if inside and self._driver.connection.database != self.database:
                    self._driver.execute(f"USE {self.database}")
                return work()
            except ServerException as error:
                if error.code not in _PASSING:
                    raise ClickHouseError(error.code) from None
                problem = _NAMES[error.code]
            except _LOST as error:
                self._driver.disconnect()
                unknown = "CERTIFICATE_VERIFY_FAILED" in str(error)
                problem = "its certificate does not hold" if unknown else type(error).__name__
            except Error:
                raise ClickHouseError(0) from None
            if time.monotonic() + wait > deadline:
                raise ClickHouseDownError(f"ClickHouse does not answer: {problem}") from None
            time.sleep(wait)
            wait = min(wait * 2, 2.0)
