"""Requests through ``lethe collect`` as a process: asked, confirmed by mail, and answered once."""

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from lethe import LetterReader, RequestRefusedError, submit_request
from lethe.cli import app
from privacy.links import answer_id
from schemas.codec import decode
from sinks.keys.answers import seal_answer
from sinks.ledger import answers, tables
from sinks.ledger.answers import Answer
from streams import rights
from streams.settings import Settings
from streams.shared import Shared, now

pytestmark = pytest.mark.broker

ReadTopic = Callable[[str, str], list[Any]]
Rows = Callable[[Any, Any], list[Any]]
Until = Callable[[Callable[[], Any]], Any]
Serve = Callable[..., Any]

KEY = "demo-shop-key"
CANARY = "zyxwv-canary"
MAIL = f"{CANARY}@example.com"


@contextmanager
def taking_in(shared: Shared) -> Iterator[None]:
    """Run the requests lane meanwhile."""
    stop = threading.Event()
    lane = threading.Thread(target=rights.take_in, args=(shared, stop), daemon=True)
    lane.start()
    try:
        yield
    finally:
        stop.set()
        lane.join(60)


def open_link(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, data) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_s17_no_byte_of_a_request_is_on_a_disk_of_ours(
    collected: Settings, collector: Any, read_topic: ReadTopic
) -> None:
    """Nor of one that was refused, nor of the token that opens an answer."""
    by_mail = submit_request(collector.url, KEY, "access", email=MAIL)
    by_cookie = submit_request(collector.url, KEY, "access", cookie_id=f"{CANARY}-1")
    with pytest.raises(RequestRefusedError, match="ground is missing"):
        submit_request(collector.url, KEY, "erasure", email=MAIL)
    assert by_mail.answer is None
    assert by_cookie.answer is not None
    found = read_topic(collected.kafka.bootstrap, collected.topic("subject-requests"))
    said = [decode("subject_request", each.value) for each in found]
    assert {(each["request_id"], each["kind"]) for each in said} == {
        (by_mail.request_id, "asked"),
        (by_cookie.request_id, "asked"),
        (by_cookie.request_id, "confirmed"),
    }
    token = by_cookie.answer.rpartition("/")[2].encode()
    files = [each for each in collected.data_dir.rglob("*") if each.is_file()]
    assert {"ledger.db", "collect.log"} <= {each.name for each in files}
    for secret in (CANARY.encode(), token):
        assert not [each for each in files if secret in each.read_bytes()]
        assert not [each for each in found if secret in each.value]


def test_s17_from_a_request_to_its_confirmation_by_mail(
    collected: Settings, collector: Any, serve: Serve, rows: Rows, until: Until
) -> None:
    """As it goes: a site asks, the mail system reads and sends, the person follows the link."""
    shared = Shared(collected)
    keys = serve("Key server", "keys", "serve")
    asked = submit_request(collector.url, KEY, "access", email=MAIL, language="nl")
    token = (collected.secrets / "departments" / "marketing").read_text()
    kafka = collected.kafka
    with (
        taking_in(shared),
        LetterReader(
            kafka.bootstrap, "marketing", keys_url=keys.url, token=token, prefix=kafka.prefix
        ) as reader,
    ):
        (letter,) = until(lambda: reader.poll(0.1))
        assert (letter.request_id, letter.language) == (asked.request_id, "nl")
        assert letter.to == MAIL
        path = re.search(r"/v1/requests/confirm/[\w.-]+", letter.text + letter.link)
        assert path is not None
        link = collector.url + path[0]
        assert open_link(link)[0] == 200
        assert [row["state"] for row in rows(shared.ledger, tables.requests)] == ["unconfirmed"]
        assert open_link(link, b"")[0] == 200
        until(lambda: rows(shared.ledger, tables.requests)[0]["state"] == "confirmed")
        first = rows(shared.ledger, tables.requests)[0]
        assert first["confirmed_by"] == "link"
    shared.ledger.close()


def test_s17_an_answer_is_fetched_once_from_where_the_command_said(
    collected: Settings, collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in collected.environment().items():
        monkeypatch.setenv(name, value)
    words = ("request", "access", "--cookie", f"{CANARY}-2", "--url", collector.url)
    done = CliRunner().invoke(app, [*words, "--site-key", KEY])
    assert done.exit_code == 0, done.output
    request_id, url = done.stdout.split()
    assert open_link(url)[0] == open_link(url, b"")[0] == 404
    token, at = url.rpartition("/")[2], now()
    shared = Shared(collected)
    answer = Answer(
        answer_id(token), request_id, "answer.zip", "application/zip",
        seal_answer(token, b"all of it"), at, at + 60_000,
    )  # fmt: skip
    with shared.ledger.transaction() as connection:
        answers.put(connection, answer)
    shared.ledger.close()
    assert open_link(url)[0] == 200
    assert open_link(url, b"") == (200, b"all of it")
    assert open_link(url)[0] == open_link(url, b"")[0] == 410
