"""A department's keys, from the key server, kept a minute at most (S2, S3)."""

import http.client
import json
import ssl
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

CACHE_SECONDS: Final = 60.0
"""How long a key may be used without asking again: part of the bound of a deletion."""

AT_ONCE = 1_000
TIMEOUT = 10.0

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class KeysUnavailableError(RuntimeError):
    """Raised when the key server does not answer, or not to us; read again later."""


class CaseKeys:
    """Asks the key server at ``url`` with a department's ``token``.

    ``steady`` returns seconds and never goes back. Raise ValueError for a ``url`` that would send
    keys over a network for everybody to read.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        steady: Callable[[], float] = time.monotonic,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._ssl: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._ssl = ssl_context or ssl.create_default_context()
        elif parts.scheme != "http" or self._host not in _LOOPBACK:
            raise ValueError("keys_url: must be https://, or http:// on this machine")
        self._path = f"{parts.path.rstrip('/')}/v1/keys"
        self._token = token
        self._steady = steady
        self._cached: dict[str, tuple[float, bytes]] = {}

    def of(self, case_ids: Iterable[str]) -> Mapping[str, bytes]:
        """Return the keys of those cases that are there and ours. Raise KeysUnavailableError."""
        self.expire()
        wanted = dict.fromkeys(case_ids)
        missing = [each for each in wanted if each not in self._cached]
        for some in _batches(missing):
            until = self._steady() + CACHE_SECONDS  # before asking: an answer may take a while
            for case_id, key in self._ask(some).items():
                self._cached[case_id] = until, key
        return {each: self._cached[each][1] for each in wanted if each in self._cached}

    def forget(self, case_id: str) -> None:
        """Let go of the key of a case that is over."""
        self._cached.pop(case_id, None)

    def expire(self) -> None:
        """Let go of every key that was asked for a minute ago."""
        now = self._steady()
        self._cached = {each: kept for each, kept in self._cached.items() if kept[0] > now}

    def clear(self) -> None:
        """Let go of every key."""
        self._cached.clear()

    def _ask(self, case_ids: Sequence[str]) -> Mapping[str, bytes]:
        status, body = self._post(json.dumps({"case_ids": case_ids}).encode())
        if status != http.HTTPStatus.OK:
            what = "refuses the token" if status == http.HTTPStatus.UNAUTHORIZED else "has no keys"
            raise KeysUnavailableError(f"the key server {what} ({status})")
        try:
            keys: Mapping[str, Any] = json.loads(body)["keys"]
            return {each: b64decode(keys[each]) for each in case_ids if keys[each] is not None}
        except (ValueError, TypeError, KeyError):
            raise KeysUnavailableError("this is no key server") from None

    def _post(self, body: bytes) -> tuple[int, bytes]:
        # No redirects are followed: the token goes where it was said to go, and nowhere else.
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
            if self._ssl is None
            else http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT, context=self._ssl
            )
        )
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", self._path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            what = type(error).__name__
            raise KeysUnavailableError(f"the key server does not answer: {what}") from None
        finally:
            connection.close()


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(ids), AT_ONCE):
        yield ids[at : at + AT_ONCE]
