"""Answers are fetched once, by one, in time; and what was fetched is gone (S17, S19)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import URL

from sinks.ledger import answers
from sinks.ledger.answers import Answer
from sinks.ledger.ledger import Ledger

ANSWER = Answer("a-1", "r-1", "copy.zip", "application/zip", b"sealed", 1_000, 5_000)


def put(ledger: Ledger, new: Answer = ANSWER) -> bool:
    with ledger.transaction() as connection:
        return answers.put(connection, new)


def take(ledger: Ledger, answer_id: str = "a-1", at: int = 2_000) -> Answer | None:
    with ledger.transaction() as connection:
        return answers.take(connection, answer_id, at)


def state(ledger: Ledger, answer_id: str = "a-1") -> Answer | None:
    with ledger.reading() as connection:
        return answers.state(connection, answer_id)


def test_an_answer_is_fetched_once(ledger: Ledger) -> None:
    assert put(ledger)
    assert state(ledger) == ANSWER
    assert take(ledger, "a-2") is None
    assert take(ledger) == replace(ANSWER, taken_at=2_000)
    assert take(ledger, at=2_001) is None
    assert state(ledger) == replace(ANSWER, sealed=None, taken_at=2_000)
    assert state(ledger, "a-2") is None


def test_one_that_was_fetched_is_not_put_there_again(ledger: Ledger) -> None:
    put(ledger)
    take(ledger)
    assert not put(ledger)
    assert take(ledger) is None


def test_of_those_that_fetch_at_once_one_gets_it(ledger: Ledger) -> None:
    put(ledger)
    together = threading.Barrier(8, timeout=20)

    def one(at: int) -> Answer | None:
        together.wait()
        return take(ledger, at=2_000 + at)

    with ThreadPoolExecutor(8) as pool:
        got = [each for each in pool.map(one, range(8)) if each is not None]
    assert [each.sealed for each in got] == [b"sealed"]


def test_it_expires(ledger: Ledger) -> None:
    put(ledger)
    put(ledger, replace(ANSWER, answer_id="a-2", expires_at=6_000))
    assert take(ledger, at=5_000) is None
    for at, expired in ((4_999, 0), (5_000, 1), (5_000, 0)):
        with ledger.transaction() as connection:
            assert answers.expire(connection, at) == expired
    assert state(ledger) == replace(ANSWER, sealed=None)
    assert take(ledger, "a-2", 5_999)


def test_it_is_known_whether_one_was_taken_lately(ledger: Ledger) -> None:
    put(ledger)
    for since, expected in ((0, False), (2_000, True), (2_001, False)):
        if expected:
            take(ledger)
        with ledger.reading() as connection:
            assert answers.taken_since(connection, since) is expected


def test_a_request_s_answers_are_found(ledger: Ledger) -> None:
    second = replace(ANSWER, answer_id="a-0", made_at=2_000)
    for each in (second, ANSWER, replace(ANSWER, answer_id="a-9", request_id="r-9")):
        put(ledger, each)
    with ledger.reading() as connection:
        assert answers.of_request(connection, "r-1") == [ANSWER, second]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["taken", "expired"])
def test_after_the_checkpoint_no_file_has_it(ledger: Ledger, url: URL, how: str) -> None:
    content = b"invented answer " * 1_000
    put(ledger, replace(ANSWER, sealed=content))
    put(ledger, replace(ANSWER, answer_id="a-2", sealed=b"the other answer", expires_at=9_000))
    assert url.database
    folder = Path(url.database).parent

    def files() -> bytes:
        return b"".join(file.read_bytes() for file in folder.iterdir())

    assert content[:500] in files()
    if how == "taken":
        assert take(ledger)
    else:
        with ledger.transaction() as connection:
            answers.expire(connection, 6_000)
    assert content[:500] in files(), "without the checkpoint it would be found"
    assert ledger.checkpoint()
    assert b"invented answer" not in files()
    assert b"the other answer" in files()
