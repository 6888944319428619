"""What people meet at the link that confirms their request (S17 to S24)."""

from http import HTTPStatus
from typing import Any

import pytest

from privacy.links import confirm_token
from sinks.keys.intake import LINKS, add_signing_key, links_keys
from streams.collector.confirm import WORDS

REQUEST = "0a1b2c3d-0000-4000-8000-000000000001"
HOUR = 3_600


def link(entrance: Any, hours: int = 72) -> str:
    expires = entrance.now[0] // 1000 + hours * HOUR
    token = confirm_token(links_keys(entrance.secrets), REQUEST, expires)
    return f"/v1/requests/confirm/{token}"


async def test_s17_a_click_on_the_button_confirms(entrance: Any) -> None:
    response = await entrance.client.post(link(entrance))
    assert response.status == HTTPStatus.OK
    (record,) = entrance.requests
    told = {name: record[name] for name in ("request_id", "kind", "by", "right", "sealed")}
    assert told == {
        "request_id": REQUEST, "kind": "confirmed", "by": "link", "right": "", "sealed": b"",
    }  # fmt: skip
    ((topic, message),) = entrance.publisher.stored
    assert (topic, message.key) == ("subject-requests", REQUEST.encode())


async def test_s17_to_look_confirms_nothing_and_shows_one_button(entrance: Any) -> None:
    path = link(entrance)
    text = await (await entrance.client.get(path)).text()
    assert text.count("<button>") == 1
    assert WORDS["en"].button in text
    assert (await entrance.client.head(path)).status == HTTPStatus.OK
    assert not entrance.publisher.stored


@pytest.mark.parametrize("method", ["get", "post"])
async def test_s17_a_link_that_is_over_or_not_ours_is_answered_alike(
    entrance: Any, method: str
) -> None:
    good = link(entrance, hours=72)
    over = link(entrance, hours=0)
    answered = set()
    for path in (over, good[:-1], good.replace(REQUEST, REQUEST.replace("1", "2")), good + "0"):
        response = await getattr(entrance.client, method)(path)
        answered.add((response.status, await response.text()))
    ((status, text),) = answered
    assert status == HTTPStatus.NOT_FOUND
    assert WORDS["en"].unknown in text
    assert not entrance.publisher.stored


async def test_s17_links_that_are_out_keep_their_key(entrance: Any) -> None:
    old = link(entrance)
    add_signing_key(entrance.secrets / LINKS)
    assert link(entrance) != old
    assert (await entrance.client.post(old)).status == HTTPStatus.OK


@pytest.mark.parametrize("lost", ["broker", "keys"])
async def test_nobody_is_told_that_it_is_done_when_it_is_not(entrance: Any, lost: str) -> None:
    path = link(entrance)
    if lost == "broker":
        entrance.publisher.available = False
    else:
        (entrance.secrets / LINKS / "1").unlink()
    response = await entrance.client.post(path)
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert WORDS["en"].later in await response.text()


@pytest.mark.parametrize("language", WORDS)
async def test_the_page_is_in_the_readers_language(entrance: Any, language: str) -> None:
    response = await entrance.client.get(link(entrance), headers={"Accept-Language": language})
    text = await response.text()
    assert f'<html lang="{language}">' in text
    assert f"<button>{WORDS[language].button}</button>" in text
