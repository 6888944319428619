"""From settings and a secret file to a client."""

from pathlib import Path
from typing import Final, Protocol

from sinks.clickhouse.client import SILENCE_SECONDS, ClickHouseDownError, Client

# Of queries and inserts ClickHouse tells ten times a second how far it is. It says nothing while it
# rewrites parts and tables, which these users ask for.
_SILENCE: Final = {"admin": 300.0, "eraser": 300.0}


class Place(Protocol):
    """Where ClickHouse is; see the settings."""

    @property
    def host(self) -> str:
        """Name or address."""
        ...

    @property
    def port(self) -> int:
        """Port of the native protocol."""
        ...

    @property
    def database(self) -> str:
        """Where the tables are."""
        ...

    @property
    def secure(self) -> bool:
        """Whether the port speaks TLS."""
        ...

    @property
    def ca(self) -> Path | None:
        """Who certifies it; None: whom this machine trusts."""
        ...


def connect(place: Place, user: str, secrets: Path, *, patience: float = 10.0) -> Client:
    """Return a client whose password is in ``secrets``, in the file ``clickhouse-<user>``.

    Raise ClickHouseDownError when that file is missing.
    """
    file = secrets / f"clickhouse-{user}"
    try:
        password = file.read_text().strip()
    except FileNotFoundError:
        raise ClickHouseDownError(f"no password for {user}: {file} is missing") from None
    return Client(
        place.host,
        place.port,
        place.database,
        user,
        password,
        secure=place.secure,
        ca=place.ca,
        patience=patience,
        silence=_SILENCE.get(user, SILENCE_SECONDS),
    )
