"""What stands in for the servers that the SDK talks to."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from kafka import TopicPartition
from kafka.errors import CommitFailedError

import lethe.sealed_reader
from lethe import KeysUnavailableError

TOPICS = {"t.cases-marketing", "t.letters"}
STORED = 202, {"case_id": "c-1", "request_id": "r-1"}


class Server(ThreadingHTTPServer):
    """Answers each request with ``answer``, and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: tuple[int, Any] = STORED
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["X-Lethe-Key"], content))
        status, answer = self.server.answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 307:
            self.send_header("Location", self.server.url)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


class Message(NamedTuple):
    key: bytes | None
    value: bytes | None
    offset: int = 0
    partition: int = 0


class Consumer:
    """Stands in for kafka-python's consumer of one partition."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.log: list[Message] = []
        self.at = 0
        self.committed: int | None = None
        self.lost = False
        self.refuses: type[Exception] | None = None
        self.closed = False

    def put(self, key: str, value: bytes | None) -> None:
        self.log.append(Message(key.encode(), value, len(self.log)))

    def partitions_for_topic(self, topic: str) -> set[int]:
        self.place = TopicPartition(topic, 0)
        return {0} if topic in TOPICS else set()

    def assign(self, places: Sequence[TopicPartition]) -> None:
        assert places == [self.place]

    def subscribe(self, topics: Sequence[str]) -> None:
        assert topics == [self.place.topic]

    def assignment(self) -> set[TopicPartition]:
        return {self.place}

    def end_offsets(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(places, len(self.log))

    def position(self, _: TopicPartition) -> int:
        return self.at

    def seek_to_beginning(self) -> None:
        self.at = 0

    def seek(self, place: TopicPartition, offset: int) -> None:
        assert place == self.place
        self.at = offset

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, list[Message]]:
        del timeout_ms
        if self.refuses is not None:
            raise self.refuses
        found = self.log[self.at : self.at + max_records]
        self.at += len(found)
        return {self.place: found} if found else {}

    def commit(self) -> None:
        if self.lost:
            raise CommitFailedError
        self.committed = self.at

    def close(self, *, autocommit: bool) -> None:
        assert not autocommit
        self.closed = True


class Keys:
    """Stands in for the key server's client."""

    def __init__(self, url: str, token: str, **_: Any) -> None:
        assert (url, token) == ("https://keys.example", "token")
        self.there: dict[str, bytes] = {}
        self.down = False
        self.asked: list[str] = []
        self.forgotten: list[str] = []

    def of(self, case_ids: Iterable[str]) -> Mapping[str, bytes]:
        if self.down:
            raise KeysUnavailableError
        asked = list(case_ids)
        self.asked += asked
        return {each: self.there[each] for each in asked if each in self.there}

    def forget(self, case_id: str) -> None:
        self.forgotten.append(case_id)

    def expire(self) -> None:
        """Keep all."""

    def clear(self) -> None:
        """Keep all."""


@pytest.fixture
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have readers read from what a test puts there."""
    monkeypatch.setattr(lethe.sealed_reader, "KafkaConsumer", Consumer)
    monkeypatch.setattr(lethe.sealed_reader, "CaseKeys", Keys)
