"""A company whose people use their rights: through HTTP and mail, or at the command line."""

import json
import os
import secrets
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from lethe import LetterReader
from lethe.letters import Letter
from lethe.standins.account import ad_ids
from lethe.standins.controller import Controller
from lethe.standins.server import StandIns
from sinks.ledger import requests
from streams.settings import Settings
from tests.integration.company import Company
from tests.waiting import until

PARTS = (
    "anonymise", "load", "consent", "route", "settle", "profiles",
    "cases", "closures", "delete", "receipts", "requests", "rights", "visitor-facts",
)  # fmt: skip
# Groups of the embedded broker may stand still for minutes (docs/engines.md): not with so many.
ON_KAFKA = pytest.mark.skipif(
    os.environ.get("LETHE_TEST_BROKER", "embedded") == "embedded", reason="wants Apache Kafka"
)


class Way(StrEnum):
    """How a person asks, shows who they are, and how it is seen what came of it."""

    HTTP = "http"
    COMMAND = "command"


BOTH = tuple(Way)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a person asks; ``more`` are fields of the request's body."""

    way: Way
    right: str
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Answered:
    """A request that was answered. ``text``: the letter, or what who has a cookie fetches."""

    request_id: str
    link: str
    verdict: str
    refused: str | None
    steps: list[dict[str, Any]]
    text: str = ""
    file: bytes = b""

    def did(self, act: str) -> str:
        """Return the outcome of a step that was done."""
        (found,) = {each["outcome"] for each in self.steps if each["act"] == act}
        return str(found)


class Office(Company):
    """A company that answers. Every letter and answer is checked for the authority (S24)."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        standins: StandIns,
        other: Controller,
        trusted: Path,
    ) -> None:
        super().__init__(settings, folder)
        self.environment["SSL_CERT_FILE"] = str(trusted)
        self.desk, self.other = standins.desk, other
        self._letters: list[Letter] = []
        self._people = 0

    def open(self) -> None:
        """Start collector, key server, one worker and the holders outside."""
        self.collect()
        self.serve_keys()
        self.work("worker", *PARTS)
        self.work("deliver", "deliver")  # which is killed alone when it is late
        self.hold(*self.policy.holders)
        assert self.policy.rights is not None
        department = self.policy.rights.department
        self._reader = until(lambda: self._mail(department), "the key server")
        until(lambda: self.reached("/health"), "the collector")

    def _mail(self, department: str) -> LetterReader:
        kafka = self.settings.kafka
        return LetterReader(
            kafka.bootstrap,
            department,
            keys_url=f"http://127.0.0.1:{self.settings.keys.port}",
            token=(self.settings.secrets / "departments" / department).read_text(),
            prefix=kafka.prefix,
        )

    def stop(self) -> None:
        self._reader.close()
        super().stop()

    def reached(self, path: str) -> bool:
        """Tell whether the collector answers."""
        try:
            self.call(path)
        except OSError:
            return False
        return True

    def person(self) -> str:
        """Return the address of somebody new, which bears a mark."""
        self._people += 1
        return f"{self.marks[0]}{self._people}@example.com"

    def visitor(self) -> str:
        """Return the cookie id of somebody new, which bears a mark."""
        self._people += 1
        return f"{self.marks[0]}-{self._people}"

    def visit(self, visitor: str, epoch: int | None = None, path: str = "/thanks") -> str:
        """Have a visitor see a page; return the event's id."""
        event = {
            "event_id": str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
            "type": "page_view",
            "page": f"https://shop.example{path}",
            "cookie_id": visitor,
            "ip": "192.0.2.7",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
        }
        if epoch is not None:
            event |= {"consent_epoch": epoch, "ad_ids": ad_ids(7)}
        status, answer = self.call("/v1/events", {"events": [event]})
        assert status == 202, answer
        return str(event["event_id"])

    def told(self, path: str, visitor: str) -> Any:
        """Return what a site is told of a visitor."""
        status, answer = self.call(f"/v1/{path}?cookie_id={visitor}")
        assert status == 200, answer
        return answer

    def exercise(self, *asks: Ask) -> list[Answered]:
        """Have people ask, show who they are and get their answers, all at the same time."""
        asked = [(each, *self.ask(each)) for each in asks]
        for each, request_id, _ in asked:
            if "email" in each.more:
                self.confirm(each.way, request_id)
        return [self.answered(each, request_id, link) for each, request_id, link in asked]

    def ask(self, ask: Ask) -> tuple[str, str]:
        """Send a request; return its id, and the path of its answer if that is known."""
        if ask.way is Way.HTTP:
            status, answer = self.call("/v1/requests", {"right": str(ask.right), **ask.more})
            assert status == 202, answer
            return answer["request_id"], answer.get("answer", "")
        request_id, *url = self.lethe("request", ask.right, *_options(ask.more)).split()
        return request_id, "".join(url).partition(str(self.settings.collector.port))[2]

    def confirm(self, way: Way, request_id: str) -> None:
        """Follow the link of the mail; or be seen at the desk by who has read the letter."""
        letter = self.letter(way, request_id, "confirm")
        if way is Way.COMMAND:
            self.lethe("requests", "confirm", request_id, "--because", "seen at desk 4")
            return
        assert letter.link in letter.text
        assert self.open_link(letter.link)[0] == 200
        assert self.shown(request_id)["state"] == "unconfirmed", "looking at a page changes nothing"
        assert self.open_link(letter.link, b"")[0] == 200

    def answered(self, ask: Ask, request_id: str, link: str = "") -> Answered:
        """Wait for an answer, fetch its file if there is one, once, and return both."""
        shown = until(
            lambda: found if _is_answered(found := self.shown(request_id)) else None,
            lambda: f"an answer to {ask.right}: {self.shown(request_id)}",
        )
        done = Answered(request_id, link, shown["verdict"], shown["refused"], shown["steps"])
        if "email" in ask.more:
            letter = self.letter(ask.way, request_id, "answer")
            assert letter.to == ask.more["email"]
            done.link, done.text = letter.link, letter.text
        if done.link:
            done.file = self.fetch(done.link)
            done.text = done.text or done.file.decode(errors="ignore")
        return done

    def letter(self, way: Way, request_id: str, kind: str) -> Letter:
        """Wait for a letter, as the mail system reads it or as a command shows it."""

        def found() -> Letter | None:
            mine = (each for each in self._read(way, request_id) if each.kind == kind)
            return next((each for each in mine if each.request_id == request_id), None)

        letter: Letter = until(found, f"a letter: {kind}")
        self.names_authority(letter.text)
        return letter

    def _read(self, way: Way, request_id: str) -> Sequence[Letter]:
        if way is Way.HTTP:
            self._letters += self._reader.poll(0.05)
            return self._letters
        lines = self.lethe("letters", "--request", request_id, "--json").splitlines()
        return [Letter(**json.loads(each)) for each in lines]

    def names_authority(self, text: str) -> None:
        """Check that a text says where to complain (S24)."""
        authority = self.policy.authority
        assert authority is not None
        for each in (authority.name, authority.address, authority.complaint, authority.website):
            assert each is None or each in text

    def fetch(self, link: str) -> bytes:
        """Fetch a file. It is there once, and nobody who looks at its page takes it away."""
        status, page = self.open_link(link)
        assert (status, b"<form" in page) == (200, True)
        status, content = self.open_link(link, b"")
        assert status == 200, content
        assert self.open_link(link, b"")[0] == 410
        return content

    def open_link(self, path: str, data: bytes | None = None) -> tuple[int, bytes]:
        """Open a link of a letter at our collector, or press its button."""
        path = path[path.index("/v1/") :]  # whatever name people reach it under
        url = f"http://127.0.0.1:{self.settings.collector.port}{path}"
        try:
            with urllib.request.urlopen(url, data) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def shown(self, request_id: str) -> dict[str, Any]:
        """Return what the command shows of a request; of one that has not come, no state."""
        with self.ledger.reading() as connection:
            if requests.get(connection, request_id) is None:
                return {"state": None, "steps": []}
        shown: dict[str, Any] = json.loads(
            self.lethe("requests", "show", request_id, "--format", "json")
        )
        return shown


def _is_answered(shown: Mapping[str, Any]) -> bool:
    """Tell whether the answer went out: of an erasure, something is still done after it."""
    return any(each["act"] == "answer" and each["done_at"] for each in shown["steps"])


def _options(more: Mapping[str, Any]) -> list[str]:
    """Return a request's fields as the command takes them."""
    words = []
    for name, value in more.items():
        if name == "corrections":
            words += [word for pair in value.items() for word in ("--correct", "=".join(pair))]
        elif name == "purposes":
            words += [word for each in value for word in ("--purpose", each)]
        else:
            option = "cookie" if name == "cookie_id" else name.replace("_", "-")
            words += [f"--{option}", value]
    return words
