"""One request to a server of the pipeline, with the standard library alone.

Over TLS, or to this machine; no redirect is followed: what is sent goes where it was said to go.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT: Final = 10.0

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class UnreachableError(RuntimeError):
    """Raised when no answer came: what was sent may have come, or not. Names the fault's kind."""


class Server:
    """The server at ``url``. Raise ValueError for one to which others on the way could listen."""

    def __init__(self, url: str, ssl_context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._ssl: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._ssl = ssl_context or ssl.create_default_context()
        elif parts.scheme != "http" or self._host not in _LOOPBACK:
            raise ValueError("must be https://, or http:// on this machine")
        self._path = parts.path.rstrip("/")

    def post(
        self, path: str, content: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Send ``content`` as JSON; return status and body. Raise UnreachableError."""
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
            if self._ssl is None
            else http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT, context=self._ssl
            )
        )
        body = json.dumps(content).encode()
        sent = {"Content-Type": "application/json", **headers}
        try:
            connection.request("POST", self._path + path, body, sent)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(type(error).__name__) from None
        finally:
            connection.close()
