"""Whether a worker's loops go round, and what it answers about that over HTTP.

A loop asks its event again and again whether to stop; the event remembers when it did. One that
waits on it is well for as long as it waits.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from sinks.threads import begin
from streams.metrics import LOOP_SILENT, REGISTRY

if TYPE_CHECKING:
    from concurrent.futures import Future

SILENT_SECONDS = 120.0  # after which a loop is taken to hang
CHECK_SECONDS = 2.0  # for what a worker needs to answer

Answer = Callable[..., Iterable[bytes]]
Checks = Mapping[str, Callable[[], bool]]


class Beating(threading.Event):
    """An event for a loop to stop by."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._at = time.monotonic()
        self._waiting = False
        LOOP_SILENT.labels(name).set_function(self.silent)

    def silent(self) -> float:
        """Return for how many seconds the loop has not asked."""
        return 0.0 if self._waiting else time.monotonic() - self._at

    def is_set(self) -> bool:
        """Tell whether to stop."""
        self._at = time.monotonic()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until told to stop."""
        self._waiting = True
        try:
            return super().wait(timeout)
        finally:
            self._at = time.monotonic()
            self._waiting = False


class InTime:
    """A check of something that may be away: whether ``ask`` returned, and in time.

    However often it is asked for, ``ask`` runs once at a time, in a thread that nobody waits for:
    what is away takes one connection, and no patience of whoever wants to know.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._answer: Future[object] | None = None

    def __call__(self) -> bool:
        """Tell whether there is an answer; False also while there is none yet."""
        with self._lock:
            if self._answer is None or self._answer.done():
                self._answer = begin(self._ask, "check")
            answer = self._answer
        try:
            answer.result(CHECK_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it is, it is not there
            return False
        return True


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds for a request

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        """Log nothing: whoever asks is no news."""


def serve(host: str, port: int, checks: Checks) -> int:
    """Answer ``/metrics``, ``/healthz`` and ``/readyz`` in a thread; return the port.

    Ready is a worker of which all ``checks`` are true. Raise OSError when the port is taken.
    """
    server = make_server(host, port, _answers(checks), _Server, _Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return int(server.server_port)


def _answers(checks: Checks) -> Answer:
    metrics: Answer = make_wsgi_app(REGISTRY)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start)
        if path == "/healthz":
            return _json(start, "200 OK", {"alive": True})
        if path == "/readyz":
            parts = {name: check() for name, check in checks.items()}
            status = "200 OK" if all(parts.values()) else "503 Service Unavailable"
            return _json(start, status, parts)
        return _json(start, "404 Not Found", {"error": "Not Found"})

    return answer


def _json(start: Callable[..., Any], status: str, body: Mapping[str, object]) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [json.dumps(body).encode()]
