"""A department's keys, from the key server, kept a minute at most (S2, S3)."""

import json
import ssl
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from lethe.https import Server, UnreachableError

CACHE_SECONDS: Final = 60.0
"""How long a key may be used without asking again: part of the bound of a deletion."""

AT_ONCE = 1_000


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
        try:
            self._server = Server(url, ssl_context)
        except ValueError as error:
            raise ValueError(f"keys_url: {error}") from None
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
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            status, body = self._server.post("/v1/keys", {"case_ids": case_ids}, headers)
        except UnreachableError as error:
            raise KeysUnavailableError(f"the key server does not answer: {error}") from None
        if status != HTTPStatus.OK:
            what = "refuses the token" if status == HTTPStatus.UNAUTHORIZED else "has no keys"
            raise KeysUnavailableError(f"the key server {what} ({status})")
        try:
            keys: Mapping[str, Any] = json.loads(body)["keys"]
            return {each: b64decode(keys[each]) for each in case_ids if keys[each] is not None}
        except (ValueError, TypeError, KeyError):
            raise KeysUnavailableError("this is no key server") from None


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(ids), AT_ONCE):
        yield ids[at : at + AT_ONCE]
