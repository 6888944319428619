"""What people meet at the link of an answer (S17): a page, and then the file, once."""

from http import HTTPStatus
from typing import Any

import pytest
from sqlalchemy import select

from privacy.links import answer_id
from sinks.keys.answers import seal_answer
from sinks.ledger import answers, tables
from sinks.ledger.answers import Answer
from streams.collector.answers import WORDS

TOKEN = "t" * 43
PATH = f"/v1/answers/{TOKEN}"
CONTENT = b"PK\x03\x04 canary"
DAY = 86_400_000


def put(entrance: Any, token: str = TOKEN, **given: Any) -> None:
    made_at = entrance.now[0]
    row = {
        "answer_id": answer_id(token), "request_id": "r-1", "name": "answer.zip",
        "media_type": "application/zip", "sealed": seal_answer(token, CONTENT),
        "made_at": made_at, "expires_at": made_at + 14 * DAY, "taken_at": None,
    }  # fmt: skip
    with entrance.ledger.transaction() as connection:
        answers.put(connection, Answer(**row | given))


async def test_s17_an_answer_is_fetched_once_and_saved(entrance: Any) -> None:
    put(entrance)
    response = await entrance.client.post(PATH)
    assert response.status == HTTPStatus.OK
    assert await response.read() == CONTENT
    assert response.content_type == "application/zip"
    assert response.headers["Content-Disposition"] == 'attachment; filename="answer.zip"'
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    again = await entrance.client.post(PATH)
    assert again.status == HTTPStatus.GONE
    assert CONTENT not in await again.read()
    assert WORDS["en"].taken in await again.text()
    with entrance.ledger.reading() as connection:
        (row,) = connection.execute(select(tables.answers)).mappings()
    assert row["sealed"] is None


async def test_s17_to_look_changes_nothing(entrance: Any) -> None:
    """Mail programs follow links to see where they lead."""
    put(entrance)
    for method in ("get", "head", "get"):
        assert (await getattr(entrance.client, method)(PATH)).status == HTTPStatus.OK
    text = await (await entrance.client.get(PATH)).text()
    assert f"<button>{WORDS['en'].button}</button>" in text
    assert await (await entrance.client.post(PATH)).read() == CONTENT


@pytest.mark.parametrize("method", ["get", "post"])
async def test_s17_what_is_not_there_looks_the_same_for_everybody(
    entrance: Any, method: str
) -> None:
    """Not ready, never asked for, mistyped: one page, and no word on which."""
    put(entrance)
    answered = set()
    for token in ("u" * 43, TOKEN[:-1], "x", "%F0%9F%92%A9", "..%2Fhealthz"):
        response = await getattr(entrance.client, method)(f"/v1/answers/{token}")
        answered.add((response.status, await response.text()))
    ((status, text),) = answered
    assert status == HTTPStatus.NOT_FOUND
    assert WORDS["en"].absent in text


@pytest.mark.parametrize("method", ["get", "post"])
async def test_s17_an_answer_that_nobody_fetched_is_over(entrance: Any, method: str) -> None:
    put(entrance)
    entrance.now[0] += 14 * DAY
    response = await getattr(entrance.client, method)(PATH)
    assert response.status == HTTPStatus.GONE
    assert WORDS["en"].over in await response.text()
    with entrance.ledger.transaction() as connection:
        answers.expire(connection, entrance.now[0])
    response = await getattr(entrance.client, method)(PATH)
    assert response.status == HTTPStatus.GONE
    assert WORDS["en"].over in await response.text()


@pytest.mark.parametrize("language", WORDS)
async def test_the_page_is_in_the_readers_language(entrance: Any, language: str) -> None:
    put(entrance)
    response = await entrance.client.get(PATH, headers={"Accept-Language": language})
    text = await response.text()
    assert f'<html lang="{language}">' in text
    assert WORDS[language].button in text


async def test_an_outage_of_the_ledger_takes_nothing_away(entrance: Any) -> None:
    put(entrance)
    with entrance.ledger.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE answers RENAME TO elsewhere")
    response = await entrance.client.post(PATH)
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    with entrance.ledger.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO answers")
    assert await (await entrance.client.post(PATH)).read() == CONTENT


async def test_who_asks_too_often_waits(enter: Any) -> None:
    entrance = await enter(rate=0.001, burst=1)
    assert (await entrance.client.get(PATH)).status == HTTPStatus.NOT_FOUND
    response = await entrance.client.get(PATH)
    assert response.status == HTTPStatus.TOO_MANY_REQUESTS


async def test_answers_are_counted_without_their_token(entrance: Any) -> None:
    put(entrance)
    await entrance.client.post(PATH)
    text = await (await entrance.client.get("/metrics")).text()
    assert 'lethe_collector_requests_total{outcome="fetched",site=""}' in text
    assert TOKEN not in text
