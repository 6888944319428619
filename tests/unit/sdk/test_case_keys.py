"""What a department's reader asks the key server, and how long it keeps the answer (S2, S3)."""

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lethe.case_keys import AT_ONCE, CACHE_SECONDS, CaseKeys, KeysUnavailableError

KEY = bytes(range(32))
TOKEN = "a-token-of-tests"


class Server(ThreadingHTTPServer):
    """Stands in for the key server; knows the cases in ``known``."""

    known: frozenset[str] = frozenset()
    status = 200
    answer: bytes | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[list[str]] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["case_ids"]
        self.server.asked.append(asked)
        self.server.tokens.add(self.headers["Authorization"])
        key = b64encode(KEY).decode()
        keys = {each: key if each in self.server.known else None for each in asked}
        body = self.server.answer or json.dumps({"keys": keys}).encode()
        self.send_response(self.server.status if self.path == "/v1/keys" else 404)
        self.send_header("Content-Length", str(len(body)))
        if self.server.status == 302:
            self.send_header("Location", self.server.url)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    running.known = frozenset({"c-1", "c-2"})
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_keys_that_are_there_come_and_the_token_is_shown(server: Server) -> None:
    keys = CaseKeys(server.url + "/", TOKEN)
    assert keys.of(["c-1", "c-3", "c-1"]) == {"c-1": KEY}
    assert server.asked == [["c-1", "c-3"]]
    assert server.tokens == {f"Bearer {TOKEN}"}


def test_a_key_is_kept_a_minute_and_no_longer(server: Server) -> None:
    clock = Clock()
    keys = CaseKeys(server.url, TOKEN, steady=clock)
    assert CACHE_SECONDS <= 60
    keys.of(["c-1"])
    server.known = frozenset()  # its case is deleted
    clock.now += 59.9
    assert keys.of(["c-1"]) == {"c-1": KEY}
    clock.now += 0.1
    assert keys.of(["c-1"]) == {}
    assert server.asked == [["c-1"], ["c-1"]]


def test_using_a_key_does_not_prolong_it(server: Server) -> None:
    clock = Clock()
    keys = CaseKeys(server.url, TOKEN, steady=clock)
    for _ in range(61):
        keys.of(["c-1"])
        clock.now += 1
    assert len(server.asked) == 2


def test_the_minute_begins_before_the_server_looks(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    keys = CaseKeys(server.url, TOKEN, steady=clock)
    post = keys._server.post

    def slow(*request: Any) -> tuple[int, bytes]:
        clock.now += 30
        return post(*request)

    monkeypatch.setattr(keys._server, "post", slow)
    keys.of(["c-1"])
    clock.now += 30
    keys.of(["c-1"])
    assert len(server.asked) == 2


def test_that_there_is_no_key_is_not_kept(server: Server) -> None:
    keys = CaseKeys(server.url, TOKEN)
    assert keys.of(["c-3"]) == {}
    server.known = frozenset({"c-3"})
    assert keys.of(["c-3"]) == {"c-3": KEY}


def test_what_is_forgotten_is_not_used_again(server: Server) -> None:
    keys = CaseKeys(server.url, TOKEN)
    keys.of(["c-1", "c-2"])
    keys.forget("c-1")
    keys.forget("c-3")
    server.known = frozenset()
    assert keys.of(["c-1", "c-2"]) == {"c-2": KEY}
    keys.clear()
    assert keys.of(["c-2"]) == {}


def test_many_are_asked_for_in_batches(server: Server) -> None:
    ids = [f"c-{number}" for number in range(AT_ONCE + 1)]
    assert CaseKeys(server.url, TOKEN).of(ids).keys() == {"c-1", "c-2"}
    assert [len(each) for each in server.asked] == [AT_ONCE, 1]


@pytest.mark.parametrize("status", [401, 404, 422, 500, 503, 302])
def test_a_refusal_is_no_answer_about_cases(server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(KeysUnavailableError, match=str(status)) as refused:
        CaseKeys(server.url, TOKEN).of(["c-1"])
    assert TOKEN not in str(refused.value)
    assert len(server.asked) == 1, "no redirect is followed"


@pytest.mark.parametrize(
    "answer", [b"{}", b"[]", b"x", b'{"keys": []}', b'{"keys": {}}', b'{"keys": {"c-1": 5}}']
)
def test_another_answer_is_no_key(server: Server, answer: bytes) -> None:
    server.answer = answer
    with pytest.raises(KeysUnavailableError):
        CaseKeys(server.url, TOKEN).of(["c-1"])


def test_a_server_that_is_gone_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(KeysUnavailableError, match="ConnectionRefusedError"):
            CaseKeys(url, TOKEN).of(["c-1"])


@pytest.mark.parametrize(
    "url", ["http://keys.example", "http://192.0.2.1:8081", "ftp://keys.example", "keys.example"]
)
def test_keys_do_not_cross_a_network_in_the_open(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        CaseKeys(url, TOKEN)


@pytest.mark.parametrize("url", ["https://keys.example", "http://localhost:1", "http://[::1]:1"])
def test_but_with_tls_or_on_this_machine(url: str) -> None:
    CaseKeys(url, TOKEN)
