"""What people and mail programs meet at the link at the foot of a mail (S5, RFC 8058)."""

from html.parser import HTMLParser
from typing import Any

import pytest

from privacy.unsubscribe import token
from sinks.keys.intake import UNSUBSCRIBE, add_signing_key, unsubscribe_keys
from streams.collector.linked import language_of
from streams.collector.unsubscribe import WORDS

CASE = "0a1b2c3d-0000-4000-8000-000000000001"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def link(entrance: Any, case_id: str = CASE, service: str = "newsletter") -> str:
    return f"/v1/unsubscribe/{token(unsubscribe_keys(entrance.secrets), case_id, service)}"


class Page(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


async def test_s5_one_click_unsubscribes(entrance: Any) -> None:
    """As a mail program sends it: no cookie, no key, no origin."""
    response = await entrance.client.post(link(entrance), data=ONE_CLICK)
    assert response.status == 200
    assert "Set-Cookie" not in response.headers
    (event,) = entrance.reported
    told = {name: event[name] for name in ("service", "event", "case_id", "group", "by")}
    assert told == {
        "service": "newsletter",
        "event": "unsubscribed",
        "case_id": CASE,
        "group": None,
        "by": "unsubscribe-link",
    }
    ((topic, message),) = entrance.publisher.stored
    assert (topic, message.key) == ("service-events", CASE.encode())


@pytest.mark.parametrize("data", [None, {}, {"anything": "else"}, b"\xff", b"x" * 100_000])
async def test_s5_a_post_unsubscribes_whatever_it_says(entrance: Any, data: Any) -> None:
    assert (await entrance.client.post(link(entrance), data=data)).status == 200
    assert len(entrance.reported) == 1


async def test_s5_to_look_changes_nothing_and_shows_one_button(entrance: Any) -> None:
    path = link(entrance)
    response = await entrance.client.get(path)
    assert response.status == 200
    assert response.content_type == "text/html"
    text = await response.text()
    page = Page(text)
    tags = [tag for tag, _ in page.found]
    assert (tags.count("form"), tags.count("button")) == (1, 1)
    assert ("form", {"method": "post"}) in page.found
    assert not {"script", "link", "img", "iframe", "a"} & set(tags)
    assert not [attrs for _, attrs in page.found if {"src", "href", "action"} & attrs.keys()]
    assert "News &amp; offers" in text
    assert (await entrance.client.head(path)).status == 200
    assert not entrance.publisher.stored


async def test_s5_the_button_of_the_page_does_it(entrance: Any) -> None:
    path = link(entrance)
    page = Page(await (await entrance.client.get(path)).text())
    (field,) = [attrs for tag, attrs in page.found if tag == "input"]
    response = await entrance.client.post(
        path, data={field["name"]: field["value"]}, headers={"Origin": "null"}
    )
    assert response.status == 200
    assert "Access-Control-Allow-Origin" not in response.headers
    assert len(entrance.reported) == 1


async def test_s5_once_or_ten_times_it_is_the_same_event(entrance: Any) -> None:
    answers = {await (await entrance.client.post(link(entrance))).text() for _ in range(10)}
    assert len(answers) == 1
    assert len({event["event_id"] for event in entrance.reported}) == 1


async def test_links_of_other_subscriptions_are_other_events(entrance: Any) -> None:
    for case_id in (CASE, CASE.replace("1", "2")):
        await entrance.client.post(link(entrance, case_id))
    assert len({event["event_id"] for event in entrance.reported}) == 2


async def test_s5_old_mails_keep_their_links_when_keys_change(entrance: Any) -> None:
    old = link(entrance)
    add_signing_key(entrance.secrets / UNSUBSCRIBE)
    new = link(entrance)
    assert old != new
    for path in (old, new):
        assert (await entrance.client.post(path)).status == 200
    (entrance.secrets / "unsubscribe" / "1").unlink()
    assert (await entrance.client.post(old)).status == 404


@pytest.mark.parametrize("method", ["get", "post"])
async def test_whatever_is_wrong_with_a_link_it_is_answered_alike(
    entrance: Any, method: str
) -> None:
    good = link(entrance)
    forged = [
        good[:-1],
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.replace("newsletter", "survey"),
        good.replace(CASE, CASE.replace("1", "2")),
        good.replace("/1.", "/2."),
        "/v1/unsubscribe/x",
        "/v1/unsubscribe/%F0%9F%92%A9",
    ]
    answers = []
    for path in forged:
        response = await getattr(entrance.client, method)(path)
        answers.append((response.status, await response.text()))
    assert {status for status, _ in answers} == {404}
    assert len({text for _, text in answers}) == 1
    assert not entrance.publisher.stored


async def test_a_subscription_that_is_offered_no_more_has_ended(entrance: Any) -> None:
    response = await entrance.client.post(link(entrance, service="gone"))
    assert response.status == 200
    assert not entrance.publisher.stored


@pytest.mark.parametrize("lost", ["broker", "keys"])
async def test_nobody_is_told_that_it_is_done_when_it_is_not(entrance: Any, lost: str) -> None:
    path = link(entrance)
    if lost == "broker":
        entrance.publisher.available = False
    else:
        (entrance.secrets / "unsubscribe" / "1").unlink()
    response = await entrance.client.post(path)
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert "again" in await response.text()


async def test_who_asks_too_often_waits(enter: Any) -> None:
    entrance = await enter(rate=0.001, burst=1)
    assert (await entrance.client.post(link(entrance))).status == 200
    response = await entrance.client.post(link(entrance))
    assert response.status == 429
    assert int(response.headers["Retry-After"]) >= 1


async def test_nothing_from_elsewhere_can_be_on_the_page(entrance: Any) -> None:
    headers = (await entrance.client.get(link(entrance))).headers
    policy = dict(part.strip().partition(" ")[::2] for part in
                  headers["Content-Security-Policy"].split(";"))  # fmt: skip
    assert policy["default-src"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["style-src"].startswith("'sha256-")
    assert headers["Referrer-Policy"] == "no-referrer", "the token stays here"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("language", WORDS)
async def test_s5_the_page_is_in_the_readers_language(entrance: Any, language: str) -> None:
    response = await entrance.client.get(link(entrance), headers={"Accept-Language": language})
    text = await response.text()
    assert f'<html lang="{language}">' in text
    assert f"<button>{WORDS[language].button}</button>" in text


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("nl-BE,nl;q=0.9,en;q=0.8", "nl"),
        ("es, fr;q=0.5, de;q=0.7", "de"),
        ("DE-at", "de"),
        ("es,*;q=0.5", "en"),
        ("nl;q=0, fr;q=0.1", "fr"),
        ("nl;q=x, fr", "fr"),
        ("nl;q=0", "en"),
        (",;,;q=", "en"),
    ],
)
def test_the_language_is_the_one_liked_best(accepted: str, language: str) -> None:
    assert language_of(accepted, WORDS) == language


async def test_links_are_counted_without_their_token(entrance: Any) -> None:
    await entrance.client.post(link(entrance))
    text = await (await entrance.client.get("/metrics")).text()
    assert 'lethe_collector_requests_total{outcome="unsubscribed",site=""}' in text
    assert CASE not in text
